//! From a matrix to a row, a column or a number: maxima, products, variances and norms.
//!
//! Sums and means stand in `var.rs`. The only ops here are the largest entry of every column and where it is; all else is
//! composed of these and of what is elementwise.

use crate::{Error, Op, Shape, Tape, Var};
use std::panic::Location;

impl<'t> Var<'t> {
    /// The largest entry of every column, 1×n; −∞ where m = 0, NaN where a column has one. O(mn).
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let x = tape.input("X", (3, 4));
    /// assert_eq!(x.col_maxima().to_string(), "colmax(X)");
    /// assert_eq!(x.row_maxima().shape(), (3, 1).into());
    /// ```
    ///
    /// # Derivative
    /// `𝟏ᵀ (argmax(X) ∘ ε)`: the entry of ε where that of X is largest. Where several are equal, that of the first: a
    /// subgradient.
    #[track_caller]
    pub fn col_maxima(self) -> Var<'t> {
        self.unary(Op::ColMax)
    }

    /// 1 at the first of the largest entries of every column, 0 elsewhere, m×n. A NaN counts as the largest. O(mn).
    ///
    /// # Derivative
    /// 0
    #[track_caller]
    pub fn col_argmax(self) -> Var<'t> {
        self.unary(Op::ColArgmax)
    }

    /// The largest entry of every row, m×1; −∞ where n = 0. See [`col_maxima`](Var::col_maxima).
    ///
    /// # Derivative
    /// `(argmax(Xᵀ)ᵀ ∘ ε) 𝟏`
    #[track_caller]
    pub fn row_maxima(self) -> Var<'t> {
        self.t().col_maxima().t()
    }

    /// 1 at the first of the largest entries of every row, 0 elsewhere, m×n. See [`col_argmax`](Var::col_argmax).
    ///
    /// # Derivative
    /// 0
    #[track_caller]
    pub fn row_argmax(self) -> Var<'t> {
        self.t().col_argmax().t()
    }

    /// The largest entry; −∞ of an empty matrix, NaN if there is one. O(mn).
    ///
    /// # Derivative
    /// The entry of ε where that of X is largest. Where several are equal, that of the first, column by column: a
    /// subgradient.
    #[track_caller]
    pub fn maximum(self) -> Var<'t> {
        self.col_maxima().t().col_maxima()
    }

    /// The smallest entry of every column, `−max(−X)`, 1×n; ∞ where m = 0. See [`col_maxima`](Var::col_maxima).
    #[track_caller]
    pub fn col_minima(self) -> Var<'t> {
        -(-self).col_maxima()
    }

    /// The smallest entry of every row, m×1; ∞ where n = 0. See [`col_maxima`](Var::col_maxima).
    #[track_caller]
    pub fn row_minima(self) -> Var<'t> {
        -(-self).row_maxima()
    }

    /// The smallest entry; ∞ of an empty matrix. See [`maximum`](Var::maximum).
    #[track_caller]
    pub fn minimum(self) -> Var<'t> {
        -(-self).maximum()
    }

    /// `log Σⱼ exp Xᵢⱼ` of every row, m×1. See [`log_sum_exp`](Var::log_sum_exp), which is that of every column.
    ///
    /// # Derivative
    /// `(softmax(Xᵀ)ᵀ ∘ ε) 𝟏`
    #[track_caller]
    pub fn row_log_sum_exp(self) -> Var<'t> {
        self.t().log_sum_exp().t()
    }

    /// `log Σ exp Xᵢⱼ` of all entries, 1×1, safe against overflow; −∞ of an empty matrix.
    ///
    /// # Derivative
    /// `⟨exp(X − y 𝟏), ε⟩`, where y is the value.
    #[track_caller]
    pub fn total_log_sum_exp(self) -> Var<'t> {
        self.log_sum_exp().t().log_sum_exp()
    }

    /// `exp Xᵢⱼ / Σⱼ exp Xᵢⱼ` in every row, m×n. See [`softmax`](Var::softmax), which is that of every column.
    #[track_caller]
    pub fn row_softmax(self) -> Var<'t> {
        self.t().softmax().t()
    }

    /// The product of every column, 1×n; 1 where m = 0. O(mn).
    ///
    /// The halves of a column are multiplied entrywise, and the halves of that, until one row is left. As nothing is
    /// divided, the derivative is exact where entries are 0.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let x = tape.input("X", (2, 4));
    /// assert_eq!(x.col_products().to_string(), "(I[0] X) ∘ (I[1] X)");
    /// ```
    ///
    /// # Derivative
    /// `Σᵢ εᵢⱼ Π_{k ≠ i} Xₖⱼ`
    #[track_caller]
    pub fn col_products(self) -> Var<'t> {
        let shape = Shape::new(1, self.cols());
        if self.id.is_err() {
            return self;
        }
        if self.shape().is_empty() {
            return self.tape.ones(shape);
        }
        let (mut product, mut odd): (_, Option<Var<'t>>) = (self, None);
        while product.rows() > 1 {
            let (rows, half) = (product.rows(), product.rows() / 2);
            if rows % 2 == 1 {
                let last = product.row(rows - 1);
                odd = Some(match odd {
                    Some(odd) => odd.hadamard(last),
                    None => last,
                });
            }
            product = product.slice(..half, ..).hadamard(product.slice(half..2 * half, ..));
        }
        match odd {
            Some(odd) => product.hadamard(odd),
            None => product,
        }
    }

    /// The product of every row, m×1; 1 where n = 0. See [`col_products`](Var::col_products).
    #[track_caller]
    pub fn row_products(self) -> Var<'t> {
        self.t().col_products().t()
    }

    /// The product of all entries; 1 of an empty matrix. See [`col_products`](Var::col_products).
    ///
    /// # Derivative
    /// `Σ εᵢⱼ Π_{(k, l) ≠ (i, j)} Xₖₗ`
    #[track_caller]
    pub fn product(self) -> Var<'t> {
        self.col_products().row_products()
    }

    /// The variance of all entries, `‖X − μ 𝟏‖² / (mn − d)` with their mean μ. The mean is taken off before squaring, so that
    /// no digits are lost where it is large.
    ///
    /// `d` says of what: with 0 the entries are the whole population, with 1 a sample, of whose population this is an
    /// unbiased estimate. NaN where there are not more than `d` entries.
    ///
    /// # Derivative
    /// `2 ⟨X − μ 𝟏, ε⟩ / (mn − d)`
    #[track_caller]
    pub fn variance(self, d: usize) -> Var<'t> {
        let centred = self - self.mean() * self.ones(self.shape());
        centred.norm_squared().over(self.freedom(d))
    }

    /// The variance of every row, m×1. See [`variance`](Var::variance).
    #[track_caller]
    pub fn row_variances(self, d: usize) -> Var<'t> {
        self.t().col_variances(d).t()
    }

    /// The variance of every column, 1×n. See [`variance`](Var::variance).
    #[track_caller]
    pub fn col_variances(self, d: usize) -> Var<'t> {
        self.col_centred().square().col_sums().over(beyond(self.rows() as f64, d))
    }

    /// The standard deviation of all entries, `‖X − μ 𝟏‖ / √(mn − d)`, safe against overflow. See
    /// [`variance`](Var::variance).
    ///
    /// # Derivative
    /// `⟨X − μ 𝟏, ε⟩ / ((mn − d) y)`, where y is the value, and 0 where that is 0: a subgradient.
    #[track_caller]
    pub fn std_dev(self, d: usize) -> Var<'t> {
        let centred = self - self.mean() * self.ones(self.shape());
        centred.norm().over(self.freedom(d).sqrt())
    }

    /// The standard deviation of every row, m×1. See [`std_dev`](Var::std_dev).
    #[track_caller]
    pub fn row_std_devs(self, d: usize) -> Var<'t> {
        self.row_variances(d).sqrt()
    }

    /// The standard deviation of every column, 1×n. See [`std_dev`](Var::std_dev).
    #[track_caller]
    pub fn col_std_devs(self, d: usize) -> Var<'t> {
        self.col_variances(d).sqrt()
    }

    /// Every column with its mean taken off and divided by `√(σ² + epsilon)`, where σ² is the variance of its entries: layer
    /// normalization, where a sample is a column. A column of equal entries becomes 0.
    #[track_caller]
    pub fn standardize_cols(self, epsilon: f64) -> Var<'t> {
        self.col_centred().mul_row((self.col_variances(0) + epsilon).sqrt().pseudo_recip())
    }

    /// Every row with its mean taken off and divided by `√(σ² + epsilon)`: batch normalization, where a sample is a column. See
    /// [`standardize_cols`](Var::standardize_cols).
    #[track_caller]
    pub fn standardize_rows(self, epsilon: f64) -> Var<'t> {
        self.t().standardize_cols(epsilon).t()
    }

    /// `X − 𝟏 μ` with the mean of every column.
    #[track_caller]
    fn col_centred(self) -> Var<'t> {
        self - self.col_means().repeat_rows(self.rows())
    }

    /// The number of entries beyond d.
    fn freedom(self, d: usize) -> f64 {
        beyond(self.rows() as f64 * self.cols() as f64, d)
    }

    /// The operator norm `‖X‖₁ = maxⱼ Σᵢ |Xᵢⱼ|`, the largest sum of a column of sizes; 0 of an empty matrix. Of a column it is
    /// the sum of sizes. O(mn).
    ///
    /// # Derivative
    /// `Σᵢ sign(Xᵢⱼ) εᵢⱼ` with the first j of the largest sum. A subgradient: where X = 0 it is 0.
    #[track_caller]
    pub fn norm_1(self) -> Var<'t> {
        if self.is_empty() {
            return self.tape.scalar(0.0);
        }
        self.abs().col_sums().row_maxima()
    }

    /// The operator norm `‖X‖_∞ = maxᵢ Σⱼ |Xᵢⱼ|`, the largest sum of a row of sizes; 0 of an empty matrix. Of a column it is
    /// the largest size. O(mn).
    ///
    /// # Derivative
    /// `Σⱼ sign(Xᵢⱼ) εᵢⱼ` with the first i of the largest sum. A subgradient: where X = 0 it is 0.
    #[track_caller]
    pub fn norm_inf(self) -> Var<'t> {
        if self.is_empty() {
            return self.tape.scalar(0.0);
        }
        self.abs().row_sums().col_maxima()
    }

    /// The largest size of an entry, `max |Xᵢⱼ|`; 0 of an empty matrix. O(mn).
    ///
    /// # Derivative
    /// `sign(Xᵢⱼ) εᵢⱼ` with the first (i, j), column by column, of the largest size. A subgradient: where X = 0 it is 0.
    #[track_caller]
    pub fn norm_max(self) -> Var<'t> {
        if self.is_empty() {
            return self.tape.scalar(0.0);
        }
        self.abs().maximum()
    }

    /// The entrywise norm `(Σ |Xᵢⱼ|ᵖ)^(1/p)` with p ≥ 1, for a column the p-norm of a vector: the sum of sizes with p = 1,
    /// [`norm`](Var::norm) with 2, [`norm_max`](Var::norm_max) with ∞. O(mn).
    ///
    /// It is safe against overflow and underflow: with `s = max |Xᵢⱼ|` it is `s (Σ (|Xᵢⱼ|/s)ᵖ)^(1/p)`, which does not depend on
    /// s, nor does the derivative. Where an entry is infinite, it is NaN (unless p is 1, 2 or ∞). With p < 2 its second derivative
    /// is infinite where an entry is 0.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let x = tape.input("x", (3, 1));
    /// assert_eq!(x.norm_p(1.0).to_string(), "sum(abs(x))");
    /// assert_eq!(x.norm_p(2.0).to_string(), "‖x‖");
    /// assert!(x.norm_p(3.0).check().is_ok());
    /// assert!(x.norm_p(0.5).check().is_err());
    /// ```
    ///
    /// # Derivative
    /// `Σ sign(Xᵢⱼ) (|Xᵢⱼ| / y)ᵖ⁻¹ εᵢⱼ`, where y is the value, and 0 where X = 0: a subgradient.
    ///
    /// # Errors
    /// (deferred) [`Error::Argument`] if p < 1 or p is NaN.
    #[track_caller]
    pub fn norm_p(self, p: f64) -> Var<'t> {
        if self.id.is_err() {
            return self;
        }
        if p.is_nan() || p < 1.0 {
            let call = format!("norm_p({p})");
            return self.tape.misused(call, "p is 1 or larger".to_owned(), Location::caller());
        }
        if p == 2.0 || self.shape().is_scalar() {
            return self.norm();
        }
        if p == 1.0 {
            return self.abs().sum();
        }
        if p == f64::INFINITY || self.is_empty() {
            return self.norm_max();
        }
        let largest = self.norm_max();
        let relative = self.abs().quotient(largest.or_one() * self.ones(self.shape()));
        largest * relative.powf(p).sum().or_one().powf(1.0 / p)
    }

    /// A number of which 0 is made 1, so that it can be divided by, and its powers have derivatives.
    #[track_caller]
    fn or_one(self) -> Var<'t> {
        self + self.inside(0.0, 0.0)
    }

    /// Whether it is known to have no entries.
    fn is_empty(self) -> bool {
        self.id.is_ok() && self.shape().is_empty()
    }
}

/// `count − d`, and 0 where there are not so many.
fn beyond(count: f64, d: usize) -> f64 {
    (count - d as f64).max(0.0)
}

impl Tape {
    /// The mistake of a call with arguments that it does not take.
    pub(crate) fn misused(
        &self,
        call: String,
        problem: String,
        location: &'static Location<'static>,
    ) -> Var<'_> {
        self.mistake(Error::Argument { call, problem, location })
    }
}
