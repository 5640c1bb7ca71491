//! The stable codes of this stage's messages, one table.
//!
//! A published code keeps its meaning; a retired one is not used again. Every code has a case in `tests/errors/`.

/// Makes a constant for each code, and the table of all.
macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal;)*) => {
        $(#[doc = $title] pub(crate) const $name: &str = $code;)*

        /// Every code of this crate with what it means, in order.
        pub const CODES: &[(&str, &str)] = &[$(($code, $title)),*];
    };
}

codes! {
    // Names, arguments, constants.
    UNKNOWN_LAYER = "E0201", "a stage or call names no layer and no block";
    UNKNOWN_NAME = "E0202", "a name stands for nothing here";
    DUPLICATE_NAME = "E0203", "a name is defined twice, or is a word of the language";
    UNKNOWN_ARGUMENT = "E0204", "a layer, block or choice has no argument of this name";
    REPEATED_ARGUMENT = "E0205", "an argument is given twice";
    EXTRA_ARGUMENT = "E0206", "more arguments than there are places for";
    MISSING_ARGUMENT = "E0207", "an argument without a default is not given";
    WRONG_KIND = "E0208", "a value of another kind than needed: a number for a tensor, a real for an integer";
    UNKNOWN_SYMBOL = "E0209", "a word that is none of the choices";
    OUT_OF_RANGE = "E0210", "a number outside the range of its argument";
    OVERFLOW = "E0211", "arithmetic that leaves the range of its numbers";
    INEXACT_DIVISION = "E0212", "a division of integers that leaves a remainder";
    DIVISION_BY_ZERO = "E0213", "a division by zero";
    NOT_A_NUMBER = "E0214", "arithmetic on something that is no number";
    DUPLICATE_LAYER = "E0215", "two layers of one name";
    RECURSIVE_BLOCK = "E0216", "a block that uses itself";
    TOO_LARGE = "E0217", "a description that expands to too much";
    REPEAT_COUNT = "E0218", "a `repeat` whose count makes no sense";
    UNUSED_VALUE = "E0219", "an input or a value of the network that nothing uses";
    UNUSED_NUMBER = "E0220", "a parameter or number that nothing uses (a warning)";
    NO_FLOW = "E0221", "`in` where nothing flows in";
    NO_OUTPUT = "E0222", "a net without an output";
    NO_INPUT = "E0223", "a net without an input";
    LOST_FLOW = "E0224", "a value flows into something that takes none";
    OUTPUT_TWICE = "E0225", "two outputs, or an output and an input, of one name";
    UNKNOWN_NET = "E0226", "no such net, or several to choose from";
    NET_ARGUMENT = "E0227", "an argument that the net does not have, or one that it needs";
    UNKNOWN_EXPECTATION = "E0228", "something that cannot be expected";
    EARLY_USE = "E0229", "a constant that is used above its definition";
    NET_AS_LAYER = "E0230", "a net used as if it were a block";

    // Shapes.
    SMALL_INPUT = "E0301", "an input smaller than the window that slides over it";
    WRONG_RANK = "E0302", "an input with another number of axes than the layer takes";
    NEEDS_FLATTEN = "E0303", "a dense layer on something that is not flat";
    GROUPS = "E0304", "channels that cannot be split into equal groups";
    SHAPES_DIFFER = "E0305", "values of different shapes where they must agree";
    CONCAT_MISMATCH = "E0306", "values that cannot be joined along this axis";
    AXIS = "E0307", "an axis that the value does not have";
    SLICE = "E0308", "a slice that is empty or reaches past the end";
    ELEMENT_COUNT = "E0309", "a reshape that does not keep the number of elements";
    AXIS_COUNT = "E0310", "another number of values than the input has spatial axes";
    WIDE_PADDING = "E0311", "padding as wide as the window";
    WIDE_DILATION = "E0312", "a pooling so dilated that a window could see only padding";
    TOO_MANY_ELEMENTS = "E0313", "a value with too many elements";
    INPUT_TYPE = "E0314", "an input of a type or shape that no network takes";
    EXPECTATION = "E0315", "an `expect` that does not hold";

    // Recipes.
    UNSUPPORTED_SECTION = "E0401", "a recipe that this version cannot follow";
    UNKNOWN_FIELD = "E0402", "a field that the recipe does not have";
    REPEATED_FIELD = "E0403", "a field that is given twice";
    MISSING_FIELD = "E0404", "a field that the recipe needs";
    UNKNOWN_CHOICE = "E0405", "a data source, loss, optimizer… that does not exist";
    RECIPE_RANGE = "E0406", "a value of a recipe that makes no sense";
    REPEATED_SECTION = "E0407", "two recipes of one kind for one net";
    SETTING = "E0408", "a `--set` that cannot be applied";
    SOFTMAX_TWICE = "E0409", "cross-entropy of something that has passed softmax (a warning)";

    // Files.
    UNREADABLE = "E0501", "a file that is not there or cannot be read";
    OUTSIDE = "E0502", "a path that leaves the project's folder";
    USE_CYCLE = "E0503", "files that use each other in a circle";
    REPEATED_USE = "E0504", "a file that is used twice";
    FILE_LIMIT = "E0505", "a file or a project that is too large";
    NOT_TEXT = "E0506", "a file that is not UTF-8";
}

#[cfg(test)]
mod tests {
    #[test]
    fn codes_rise() {
        assert!(
            super::CODES.is_sorted_by(|a, b| a.0 < b.0),
            "two codes are equal, or out of order"
        );
    }
}
