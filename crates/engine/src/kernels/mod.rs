//! The kernels: what each instruction does to its buffer.

pub(crate) mod action;
pub(crate) mod adjugate;
pub(crate) mod arrange;
pub(crate) mod clusters;
pub(crate) mod eigen;
pub(crate) mod elementwise;
pub(crate) mod expm;
pub(crate) mod factor;
pub(crate) mod fixed;
pub(crate) mod functions;
pub(crate) mod gamma;
pub(crate) mod lanes;
pub(crate) mod logarithm;
pub(crate) mod product;
pub(crate) mod qr;
pub(crate) mod real_eigen;
pub(crate) mod reduce;
pub(crate) mod registers;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod schur;
pub(crate) mod sign;
pub(crate) mod small;
pub(crate) mod spectrum;
pub(crate) mod square_root;
pub(crate) mod svd;
pub(crate) mod sylvester;
pub(crate) mod symmetric;
pub(crate) mod symmetric_function;
pub(crate) mod tile;
pub(crate) mod transpose;
pub(crate) mod triangles;
pub(crate) mod triangular;
pub(crate) mod vector;
