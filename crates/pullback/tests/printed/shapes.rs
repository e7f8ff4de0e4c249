//! The shapes of what is printed without one, `𝟏` and `I`: from what stands around them.

/// Extents, some of them known to be equal.
#[derive(Default)]
pub(crate) struct Extents {
    parent: Vec<usize>,
    value: Vec<Option<usize>>,
    pub(crate) changes: usize,
}

/// Rows and columns.
pub(crate) type Extent2 = (usize, usize);

impl Extents {
    pub(crate) fn fresh(&mut self) -> usize {
        self.parent.push(self.parent.len());
        self.value.push(None);
        self.parent.len() - 1
    }

    pub(crate) fn fresh2(&mut self) -> Extent2 {
        (self.fresh(), self.fresh())
    }

    fn root(&self, mut i: usize) -> usize {
        while self.parent[i] != i {
            i = self.parent[i];
        }
        i
    }

    pub(crate) fn get(&self, i: usize) -> Option<usize> {
        self.value[self.root(i)]
    }

    pub(crate) fn set(&mut self, i: usize, n: usize) -> Result<(), String> {
        let root = self.root(i);
        match self.value[root] {
            Some(known) if known != n => Err(format!("{known} is not {n}")),
            Some(_) => Ok(()),
            None => {
                self.changes += 1;
                self.value[root] = Some(n);
                Ok(())
            }
        }
    }

    pub(crate) fn set2(&mut self, (rows, cols): Extent2, (m, n): (usize, usize)) -> Result<(), String> {
        self.set(rows, m)?;
        self.set(cols, n)
    }

    pub(crate) fn same(&mut self, i: usize, j: usize) -> Result<(), String> {
        let (i, j) = (self.root(i), self.root(j));
        if i == j {
            return Ok(());
        }
        self.changes += 1;
        let known = match (self.value[i], self.value[j]) {
            (Some(a), Some(b)) if a != b => return Err(format!("{a} is not {b}")),
            (a, b) => a.or(b),
        };
        self.parent[i] = j;
        self.value[j] = known;
        Ok(())
    }

    pub(crate) fn same2(&mut self, a: Extent2, b: Extent2) -> Result<(), String> {
        self.same(a.0, b.0)?;
        self.same(a.1, b.1)
    }

    pub(crate) fn is_scalar(&self, (rows, cols): Extent2) -> bool {
        self.get(rows) == Some(1) && self.get(cols) == Some(1)
    }

    pub(crate) fn known(&self, (rows, cols): Extent2) -> Option<(usize, usize)> {
        Some((self.get(rows)?, self.get(cols)?))
    }
}
