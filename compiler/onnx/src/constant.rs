//! Tensors that are known when a model is imported: weights, and what shape arithmetic makes of them.
//!
//! Elements are f32, i64 or bytes: other floats are rounded to f32 and other integers and truth values widened, as nothing
//! that is imported tells them apart. A tensor that is one number everywhere is kept as that number, so that a model of a
//! few bytes cannot ask for gigabytes; only whoever binds such a weight takes memory for it.

use std::borrow::Cow;

use netc_runtime::Tensor;

/// A tensor that is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constant {
    shape: Vec<usize>,
    data: Data,
}

/// Elements in row-major order; a single one stands for all.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    F32(Vec<f32>),
    I64(Vec<i64>),
    U8(Vec<u8>),
    I8(Vec<i8>),
}

/// What kind of number the elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    I64,
    U8,
    I8,
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::F32(_) => Kind::F32,
            Self::I64(_) => Kind::I64,
            Self::U8(_) => Kind::U8,
            Self::I8(_) => Kind::I8,
        }
    }
}

/// Number of elements; `None` where it passes 64 bits.
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .try_fold(1usize, |count, &extent| count.checked_mul(extent))
}

impl Constant {
    /// A tensor of these elements, one for each or one for all.
    ///
    /// # Panics
    /// If there are neither so many nor one.
    pub(crate) fn new(shape: Vec<usize>, data: Data) -> Self {
        let count = element_count(&shape);
        assert!(
            count == Some(data.len()) || data.len() == 1,
            "{} elements cannot fill {shape:?}",
            data.len()
        );
        Self { shape, data }
    }

    pub(crate) fn floats(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self::new(shape, Data::F32(values))
    }

    pub(crate) fn integers(shape: Vec<usize>, values: Vec<i64>) -> Self {
        Self::new(shape, Data::I64(values))
    }

    /// A list of integers, as shapes and axes are.
    pub(crate) fn list(values: Vec<i64>) -> Self {
        Self::integers(vec![values.len()], values)
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.data.kind()
    }

    pub(crate) const fn data(&self) -> &Data {
        &self.data
    }

    /// How many elements it stands for; saturates, which no limit accepts.
    pub(crate) fn len(&self) -> usize {
        element_count(&self.shape).unwrap_or(usize::MAX)
    }

    /// Whether one stored number stands for every element.
    pub(crate) fn is_filled(&self) -> bool {
        self.data.len() == 1
    }

    /// Elements that take memory.
    pub(crate) fn stored(&self) -> usize {
        self.data.len()
    }

    /// The element of this index as a float.
    pub(crate) fn float(&self, index: usize) -> f32 {
        let index = if self.is_filled() { 0 } else { index };
        match &self.data {
            Data::F32(values) => values[index],
            Data::I64(values) => values[index] as f32,
            Data::U8(values) => f32::from(values[index]),
            Data::I8(values) => f32::from(values[index]),
        }
    }

    /// The element of this index as an integer; a float loses its fraction.
    pub(crate) fn integer(&self, index: usize) -> i64 {
        let index = if self.is_filled() { 0 } else { index };
        match &self.data {
            Data::F32(values) => values[index] as i64,
            Data::I64(values) => values[index],
            Data::U8(values) => i64::from(values[index]),
            Data::I8(values) => i64::from(values[index]),
        }
    }

    /// All elements as integers, if they are few enough to be a list of axes or extents.
    pub(crate) fn to_list(&self) -> Option<Vec<i64>> {
        const MOST: usize = 64;
        (self.len() <= MOST && self.kind() != Kind::F32)
            .then(|| (0..self.len()).map(|index| self.integer(index)).collect())
    }

    /// The only element, of a scalar or of a tensor of one.
    pub(crate) fn single(&self) -> Option<f32> {
        (self.len() == 1).then(|| self.float(0))
    }

    /// The number that every element is.
    pub(crate) fn same(&self) -> Option<f32> {
        if self.is_filled() {
            return Some(self.float(0));
        }
        let first = (self.stored() > 0).then(|| self.float(0))?;
        (1..self.stored())
            .all(|index| self.float(index).to_bits() == first.to_bits())
            .then_some(first)
    }

    /// The same elements under another shape of as many.
    pub(crate) fn reshaped(&self, shape: Vec<usize>) -> Self {
        Self::new(shape, self.data.clone())
    }

    /// The elements of these indices, in this order.
    pub(crate) fn picked(&self, shape: Vec<usize>, indices: impl Iterator<Item = usize>) -> Self {
        if self.is_filled() {
            return Self::new(shape, self.data.clone());
        }
        let data = match &self.data {
            Data::F32(values) => Data::F32(indices.map(|index| values[index]).collect()),
            Data::I64(values) => Data::I64(indices.map(|index| values[index]).collect()),
            Data::U8(values) => Data::U8(indices.map(|index| values[index]).collect()),
            Data::I8(values) => Data::I8(indices.map(|index| values[index]).collect()),
        };
        Self::new(shape, data)
    }

    /// Its axes in another order.
    pub(crate) fn transposed(&self, axes: &[usize]) -> Self {
        let strides = strides(&self.shape);
        let shape: Vec<usize> = axes.iter().map(|&axis| self.shape[axis]).collect();
        let steps: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
        let indices = Indices::new(&shape, &steps);
        self.picked(shape.clone(), indices)
    }

    /// It with every extent of one made as long as `shape` says, which it must fit from the right.
    pub(crate) fn broadcast(&self, shape: &[usize]) -> Self {
        let steps = broadcast_steps(&self.shape, shape);
        self.picked(shape.to_vec(), Indices::new(shape, &steps))
    }

    /// Another number for each.
    pub(crate) fn map(&self, function: impl Fn(f32) -> f32) -> Self {
        let values = (0..self.stored()).map(|index| function(self.float(index))).collect();
        Self::floats(self.shape.clone(), values)
    }

    /// The tensor as the runtime has it. Takes memory for every element.
    pub(crate) fn to_tensor(&self) -> Tensor {
        Tensor::from_f32(self.shape.clone(), self.to_floats().into_owned()).expect("one number for each element")
    }

    /// A float for each element.
    pub(crate) fn to_floats(&self) -> Cow<'_, [f32]> {
        match &self.data {
            Data::F32(values) if values.len() == self.len() => Cow::Borrowed(values),
            _ => (0..self.len()).map(|index| self.float(index)).collect(),
        }
    }
}

/// Row-major steps between neighbors along each axis.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// Steps that read a tensor of `from` as one of `to`: none along axes that are made longer.
pub(crate) fn broadcast_steps(from: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(from);
    let missing = to.len() - from.len();
    let step = |axis: usize| match axis.checked_sub(missing) {
        Some(own_axis) if from[own_axis] != 1 => own[own_axis],
        _ => 0,
    };
    (0..to.len()).map(step).collect()
}

/// Flat positions of every index of `shape`, with these steps along its axes.
pub(crate) struct Indices<'a> {
    shape: &'a [usize],
    steps: &'a [usize],
    index: Vec<usize>,
    position: usize,
    left: usize,
}

impl<'a> Indices<'a> {
    pub(crate) fn new(shape: &'a [usize], steps: &'a [usize]) -> Self {
        Self {
            shape,
            steps,
            index: vec![0; shape.len()],
            position: 0,
            left: element_count(shape).unwrap_or(usize::MAX),
        }
    }
}

impl Iterator for Indices<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let now = self.position;
        for axis in (0..self.shape.len()).rev() {
            self.index[axis] += 1;
            self.position += self.steps[axis];
            if self.index[axis] < self.shape[axis] {
                break;
            }
            self.position -= self.steps[axis] * self.shape[axis];
            self.index[axis] = 0;
        }
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_move_and_grow() {
        let matrix = Constant::integers(vec![2, 3], vec![1, 2, 3, 4, 5, 6]);
        let turned = matrix.transposed(&[1, 0]);
        assert_eq!(turned, Constant::integers(vec![3, 2], vec![1, 4, 2, 5, 3, 6]));
        let row = Constant::integers(vec![3], vec![1, 2, 3]).broadcast(&[2, 3]);
        assert_eq!(row.to_list().unwrap(), [1, 2, 3, 1, 2, 3]);
        let column = Constant::integers(vec![2, 1], vec![7, 8]).broadcast(&[2, 2]);
        assert_eq!(column.to_list().unwrap(), [7, 7, 8, 8]);
    }

    #[test]
    fn one_number_everywhere_takes_no_memory() {
        let filled = Constant::floats(vec![1 << 20, 1 << 20], vec![0.5]);
        assert_eq!(filled.transposed(&[1, 0]).stored(), 1);
        assert_eq!(filled.same(), Some(0.5));
        assert_eq!(filled.map(|value| value + 1.0).float(1 << 39), 1.5);
    }
}
