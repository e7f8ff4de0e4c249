use pullback_rules::*; use pullback_tape::*;
fn main() {
    let t = Tape::new();
    let x = t.input("x",(1,1));
    println!("{} | {}", x.square(), gradient(x.square(), &[x]).unwrap()[0]);
    println!("{} | {}", x*x*x, gradient(x*x*x, &[x]).unwrap()[0]);
    let b = t.input("β",(5,2)); let xx = t.input("X",(5,9)); let y = t.input("Y",(2,9));
    let l = (y - b.t()*xx).norm_squared();
    println!("{l} | {} | {:#}", gradient(l,&[b]).unwrap()[0], gradient(l,&[b]).unwrap()[0]);
    let w = t.input("W",(4,3)); let v = t.input("v",(3,1)); let u = t.input("u",(4,1));
    let l = (u - w*v).norm_squared();
    println!("{l} | {}", gradient(l,&[w]).unwrap()[0]);
    let l = (u - w*v).norm();
    println!("{l} | {}", gradient(l,&[w]).unwrap()[0]);
    let m = t.input("M",(3,3));
    println!("{} | {}", m.det(), gradient(m.det(),&[m]).unwrap()[0]);
    println!("{} | {} | {:#}", m.log_det(), gradient(m.log_det(),&[m]).unwrap()[0], m.log_det());
    let k = t.input("K",(3,3));
    let l = v.t()*k.solve(v) + k.log_det();
    println!("{l} | {} | {:#}", gradient(l,&[k]).unwrap()[0], gradient(l,&[k]).unwrap()[0]);
    let l = v.t()*k.inv()*v + (k*k.t()).log_det();
    println!("{l} | {}", gradient(l,&[k]).unwrap()[0]);
    println!("{}", derivation(k.log_det(), k).unwrap());
    let w1 = t.input("W1",(6,5)); let w2 = t.input("W2",(2,6)); let b1=t.input("b1",(6,1)); let b2 = t.input("b2",(2,1));
    let z = w2*(w1*xx).add_col(b1).tanh(); let z = z.add_col(b2);
    let ce = (z.log_sum_exp().sum() - y.inner(z))/9.0;
    println!("{ce}");
    for (n,g) in ["W1","b1","W2","b2"].iter().zip(gradient(ce,&[w1,b1,w2,b2]).unwrap()) { println!("∇{n} = {g}\n   {g:#}"); }
    println!("{}", derivation(ce, w1).unwrap());
    let sq = (w2*w1*xx - y).norm_squared()*(1.0/18.0);
    println!("{}", derivation(sq, w1).unwrap());
    println!("{:#}", derivation(sq, w1).unwrap());
    let lc = (w2*w1*xx - y).log_cosh().sum()/9.0;
    println!("{}", derivation(lc, w1).unwrap());
    let big = [w2*w1; 6].iter().fold(w2*w1, |a, b| (a + *b).tanh());
    println!("{}", big);
    let l = t.function("L", w2*w1);
    for h in hvp(l, &[(w1, t.symbol("V",(6,5)))]).unwrap() { println!("{h}"); }
    println!("{}", gradient(x.exp()/ (1.0+x.exp()), &[x]).unwrap()[0]);
    println!("{}", gradient(xx.softmax().inner(xx), &[xx]).unwrap()[0]);
    println!("{:?}", (w1*w2).check());
    println!("{:?}", (w1-w2).check().unwrap_err().to_string());
    println!("{}", 0.3*m + 2.5e-7*m.t() + t.identity(3)*1e-3 -1.25*t.ones((3,3)));
}
