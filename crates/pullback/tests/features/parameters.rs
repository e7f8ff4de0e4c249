//! Named parameters, written and read.

use pullback::Scalar;
use pullback::check::random;
use pullback::faer::{Mat, mat};
use pullback::parameters::Parameters;
use serde::{Serialize, de::DeserializeOwned};

fn parameters<T: Scalar>() -> Parameters<T> {
    let shapes = [("W2", (3, 5)), ("b", (3, 1)), ("W1", (1, 7)), ("none", (0, 4)), ("no columns", (2, 0))];
    let matrices = (0..).zip(shapes).map(|(seed, (name, (m, n)))| (name.to_owned(), random(m, n, seed)));
    matrices.collect()
}

fn bits<T: Scalar>(parameters: &Parameters<T>) -> Vec<(&str, usize, usize, Vec<u64>)> {
    let entries = |m: &Mat<T>| {
        m.col_iter().flat_map(|col| col.iter().map(|x| x.to_f64().to_bits()).collect::<Vec<_>>()).collect()
    };
    parameters.iter().map(|(name, m)| (name, m.nrows(), m.ncols(), entries(m))).collect()
}

fn round_trip<T: Scalar + Serialize + DeserializeOwned>() {
    let mut parameters = parameters::<T>();
    let extremes = [0.0, -0.0, 1e-40, 3e38, 1.0 / 3.0, f64::MIN_POSITIVE].map(T::from_f64);
    parameters.insert("extremes", Mat::from_fn(6, 1, |i, _| extremes[i]));
    let text = serde_json::to_string(&parameters).unwrap();
    let read: Parameters<T> = serde_json::from_str(&text).unwrap();
    // The order, too.
    assert_eq!(bits(&read), bits(&parameters));
    // What a format holds in another order is the same parameters by name.
    let value = serde_json::to_value(&parameters).unwrap();
    let read: Parameters<T> = serde_json::from_value(value).unwrap();
    assert_eq!(read.len(), parameters.len());
    assert!(parameters.iter().all(|(name, matrix)| read.get(name) == Some(matrix)));
}

#[test]
fn what_is_written_is_read_again_bit_by_bit() {
    round_trip::<f64>();
    round_trip::<f32>();
    let empty: Parameters<f64> = serde_json::from_str("{}").unwrap();
    assert!(empty.is_empty() && serde_json::to_string(&empty).unwrap() == "{}");
}

#[test]
fn bindings_come_and_go() {
    let mut parameters = parameters::<f64>();
    assert_eq!(Parameters::new(&parameters.bindings()), parameters);
    let names: Vec<_> = parameters.bindings().into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, ["W2", "b", "W1", "none", "no columns"]);
    // The place of a name stays.
    let former = parameters.insert("b", mat![[1.0]]).unwrap();
    assert_eq!((former.nrows(), &parameters.bindings()[1].1[(0, 0)]), (3, &1.0));
    parameters.get_mut("b").unwrap()[(0, 0)] = 2.0;
    assert_eq!(parameters.get("b").unwrap()[(0, 0)], 2.0);
    assert!(parameters.get("B").is_none() && parameters.get_mut("B").is_none());
}

#[test]
fn what_is_malformed_is_an_error() {
    let cases = [
        (r#"{"W":{"rows":2,"cols":2,"entries":[1,2,3]}}"#, "`W` is 2×2, but has 3 entries"),
        (r#"{"W":{"rows":2,"cols":0,"entries":[1]}}"#, "`W` is 2×0, but has 1 entries"),
        (r#"{"W":{"rows":9223372036854775808,"cols":2,"entries":[]}}"#, "9223372036854775808×2, but has 0"),
        (r#"{"W":{"rows":9223372036854775808,"cols":0,"entries":[]}}"#, "9223372036854775808×0"),
        (r#"{"W":{"rows":0,"cols":18446744073709551615,"entries":[]}}"#, "0×18446744073709551615"),
        (r#"{"W":{"rows":1,"cols":1,"entries":[null]}}"#, "invalid type: null"),
        (r#"{"W":{"rows":1,"cols":1,"entries":["1"]}}"#, "invalid type: string"),
        (r#"{"W":{"rows":-1,"cols":1,"entries":[]}}"#, "invalid value: integer `-1`"),
        (r#"{"W":{"rows":1,"entries":[1]}}"#, "missing field `cols`"),
        (r#"{"W":{"rows":1,"cols":1,"entries":[1],"order":"C"}}"#, "unknown field `order`"),
        (
            r#"{"W":{"rows":1,"cols":1,"entries":[1]},"W":{"rows":1,"cols":1,"entries":[1]}}"#,
            "there are two matrices `W`",
        ),
        (r#"[1, 2]"#, "a map from names to matrices"),
    ];
    for (text, message) in cases {
        let error = serde_json::from_str::<Parameters<f64>>(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
    // Nor is what JSON has no word for.
    let nan = Parameters::new(&[("W", mat![[f64::NAN]].as_ref())]);
    assert!(serde_json::from_str::<Parameters<f64>>(&serde_json::to_string(&nan).unwrap()).is_err());
}
