//! The kernels: what each instruction does to its buffer.

pub(crate) mod copy;
pub(crate) mod elementwise;
pub(crate) mod factor;
pub(crate) mod product;
pub(crate) mod reduce;
pub(crate) mod registers;
