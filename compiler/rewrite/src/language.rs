//! The graph's own operators as an egg language.
//!
//! An e-node is an operator with its attributes, interned as a number, over its children. Inputs, parameters and
//! constants are leaves, told apart by name or by value. The table that gives the numbers their meaning lives in the
//! e-graph's analysis; nothing here knows rules, facts or costs.

use std::collections::BTreeMap;
use std::fmt;

use egg::{Id, Language};
use netc_graph::Operator;
use netc_runtime::{Data, Tensor};

/// Number of an interned operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OperatorId(u32);

/// Which operator of the graph's table it is, whatever its attributes: a position in [`Operator::NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Kind(u8);

impl Kind {
    /// The kind of the operator of this name.
    ///
    /// # Panics
    /// If there is no such operator.
    pub(crate) fn named(name: &str) -> Self {
        let position = Operator::NAMES.iter().position(|each| *each == name);
        let position = position.unwrap_or_else(|| panic!("no operator is called `{name}`"));
        Self(u8::try_from(position).expect("fewer than 256 operators"))
    }

    pub(crate) const fn name(self) -> &'static str {
        Operator::NAMES[self.0 as usize]
    }
}

/// An e-node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ENode {
    pub(crate) kind: Kind,
    pub(crate) operator: OperatorId,
    pub(crate) inputs: Box<[Id]>,
}

impl Language for ENode {
    type Discriminant = Kind;

    fn discriminant(&self) -> Kind {
        self.kind
    }

    fn matches(&self, other: &Self) -> bool {
        self.operator == other.operator && self.inputs.len() == other.inputs.len()
    }

    fn children(&self) -> &[Id] {
        &self.inputs
    }

    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.inputs
    }
}

impl fmt::Display for ENode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())
    }
}

/// An operator as the table keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Interned {
    pub(crate) kind: Kind,
    pub(crate) operator: Operator,
    /// The key of an input or parameter, empty for everything else.
    pub(crate) name: String,
}

/// What tells interned operators apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// Inputs and parameters are themselves, whatever their attributes.
    Leaf(String),
    /// Constants are their type and bits: -0 is not 0, and NaN is itself.
    Constant(String, Vec<u32>),
    /// Attributes written out; `Debug` prints every f32 so that it reads back as the same bits.
    Attributes(String),
}

impl Key {
    fn of(operator: &Operator, name: &str) -> Self {
        match operator {
            Operator::Input(_) | Operator::Parameter(_) => Self::Leaf(name.to_owned()),
            Operator::Constant(rule) => Self::Constant(
                format!("{} {}", rule.value.dtype(), rule.value.shape()),
                bits(&rule.value),
            ),
            other => Self::Attributes(format!("{other:?}")),
        }
    }
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    match tensor.data() {
        Data::F32(values) => values.iter().map(|value| value.to_bits()).collect(),
        Data::I32(values) => values.iter().map(|value| value.cast_unsigned()).collect(),
        Data::U8(values) => values.iter().map(|&value| u32::from(value)).collect(),
        Data::I8(values) => values.iter().map(|&value| u32::from(value.cast_unsigned())).collect(),
    }
}

/// All operators of one e-graph with their attributes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    operators: Vec<Interned>,
    numbers: BTreeMap<Key, OperatorId>,
}

impl Table {
    /// The number of an operator; `name` is the key of an input or parameter and is ignored for others.
    pub(crate) fn intern(&mut self, operator: &Operator, name: &str) -> OperatorId {
        let key = Key::of(operator, name);
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        let number = OperatorId(u32::try_from(self.operators.len()).expect("fewer than 2³² operators"));
        let name = if matches!(key, Key::Leaf(_)) {
            name.to_owned()
        } else {
            String::new()
        };
        self.operators.push(Interned {
            kind: Kind::named(operator.name()),
            operator: operator.clone(),
            name,
        });
        self.numbers.insert(key, number);
        number
    }

    pub(crate) fn get(&self, number: OperatorId) -> &Interned {
        &self.operators[number.0 as usize]
    }

    /// An e-node of an interned operator.
    pub(crate) fn node(&self, number: OperatorId, inputs: impl Into<Box<[Id]>>) -> ENode {
        ENode {
            kind: self.get(number).kind,
            operator: number,
            inputs: inputs.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use netc_graph::operators::{constant::Constant, leaky_relu::LeakyRelu};

    use super::*;

    #[test]
    fn operators_are_told_apart_by_attributes_and_constants_by_bits() {
        let mut table = Table::default();
        let slope = |slope: f32| Operator::from(LeakyRelu { slope });
        let value = |value: f32| {
            Operator::from(Constant {
                value: Tensor::scalar(value),
            })
        };
        assert_eq!(table.intern(&slope(0.1), ""), table.intern(&slope(0.1), "elsewhere"));
        assert_ne!(table.intern(&slope(0.1), ""), table.intern(&slope(0.2), ""));
        assert_ne!(table.intern(&value(0.0), ""), table.intern(&value(-0.0), ""));
        assert_eq!(table.intern(&value(f32::NAN), ""), table.intern(&value(f32::NAN), ""));
        assert_eq!(
            table
                .get(
                    table
                        .operators
                        .len()
                        .checked_sub(1)
                        .map(|last| OperatorId(last as u32))
                        .unwrap()
                )
                .kind
                .name(),
            "constant"
        );
    }
}
