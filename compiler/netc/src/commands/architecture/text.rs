//! Architecture analysis as text for people: what the numbers are, what they say, and what to do with them.

use netc::Architecture;
use netc::stages::analyze::Figures;
use netc::stages::analyze::color::Color;
use netc::stages::analyze::depth::{Run, RunFigures};
use netc::stages::analyze::factorize::{Factorization, Method};
use netc::stages::analyze::stack::MOST_LAYERS;
use netc::stages::analyze::view::View;
use netc::stages::analyze::wide::{StackReport, WideConvolution};

use super::Applied;
use crate::console::{self, by_axis, grouped};

/// Columns of text.
const WIDTH: usize = 100;
/// Rows of what layers see; `--json` has all.
const MOST_VIEWS: usize = 40;

/// The whole analysis.
pub(super) fn analysis(analysis: &Architecture, file: &str, has_weights: bool) -> String {
    let mut parts = vec![
        format!(
            "{}: what its shape costs, and what other shapes would\ntimes are predicted for one sample on machine `{}`; \
             nothing is run or trained\n",
            analysis.model, analysis.machine
        ),
        views(&analysis.views),
        wide(analysis, file, has_weights),
    ];
    parts.extend(analysis.grey_against_color.as_ref().map(color));
    if !analysis.depth_against_width.is_empty() {
        parts.push(depth(&analysis.depth_against_width, analysis.runs_left_out));
    }
    parts.join("\n")
}

/// What `--apply` did.
pub(super) fn applied(applied: &Applied<'_>) -> String {
    let rows: Vec<[String; 5]> = applied
        .replaced
        .iter()
        .map(|replaced| {
            let start = applied.starts.iter().find(|start| start.layer == replaced.layer);
            let begins = match start.map(|start| &start.factorization) {
                None => "at random".to_owned(),
                Some(None) => "at random: too large to factor".to_owned(),
                Some(Some(found)) => residual(
                    found,
                    start.is_some_and(|start| start.passes_activation),
                    &replaced.activation,
                ),
            };
            let between = replaced.channels_between.to_string();
            [
                replaced.layer.clone(),
                replaced.layers.join(", "),
                between,
                replaced.activation.clone(),
                begins,
            ]
        })
        .collect();
    let table = if applied.weights_file.is_some() {
        console::table(
            ["replaced", "by", "channels between", "with", "begins"],
            [false, false, true, false, false],
            rows,
        )
    } else {
        let rows = rows
            .into_iter()
            .map(|[layer, by, between, with, _]| [layer, by, between, with]);
        console::table(
            ["replaced", "by", "channels between", "with"],
            [false, false, true, false],
            rows,
        )
    };
    let (before, after) = (&applied.before, &applied.after);
    let mut text = format!(
        "{}: {} in place of wide convolutions\n\n{table}\n",
        applied.model,
        counted(applied.replaced.len(), "stack")
    );
    text += &networks([row("as it was", before), row("with stacks", after)]);
    for renamed in applied.renamed {
        text += &format!("\n`{}` is now `{}`", renamed.before, renamed.after);
    }
    if !applied.renamed.is_empty() {
        text += "\n";
    }
    text += &format!("\nthe network is in {}", applied.file);
    match &applied.weights_file {
        Some(weights) => {
            text += &format!(", its first weights in {weights}\n");
            text += &paragraph(
                "Stacks begin as factors of the wide weights. The residual is the share of the weights' norm that they miss: \
                 `through` means also with the non-linearities between them (but for borders that are padded), `without` \
                 means that these change what the stack computes. Train the network from there, in small steps, so that what it knows is not lost:",
            );
            let slowly = applied
                .learning_rate
                .map_or_else(String::new, |rate| format!(" --set optimizer.lr={rate:.1e}"));
            text += &format!("  netc train {} --from {weights}{slowly}\n", applied.file);
        }
        None => text += &format!("\n  netc train {}\n", applied.file),
    }
    text
}

fn views(views: &[View]) -> String {
    let spatial = |view: &&View| !view.receptive_field.is_empty() && view.changes;
    let shown: Vec<&View> = views.iter().filter(spatial).collect();
    if shown.is_empty() {
        return "what each layer sees: the input has no rows or columns, so every value sees all of it\n".to_owned();
    }
    let row = |view: &&View| {
        [
            view.layer.clone(),
            view.kind.to_owned(),
            view.shape.to_string(),
            by_axis(&view.receptive_field),
            each_axis(&view.effective_stride),
            each_axis(&view.first_position),
        ]
    };
    let mut text = format!(
        "what each layer sees of the input\n\n{}",
        console::table(
            ["layer", "kind", "output", "sees", "every", "from"],
            [false, false, true, true, true, true],
            shown.iter().take(MOST_VIEWS).map(row),
        )
    );
    if shown.len() > MOST_VIEWS {
        text += &format!(" and {} more, with --json\n", shown.len() - MOST_VIEWS);
    }
    text += "\n";
    text += &paragraph(
        "sees: input positions that one value depends on. every: input positions from one value to the next. from: where \
         the first value begins to look; below 0 is padding.",
    );
    match views.iter().find(|view| view.sees_everything) {
        Some(view) => text + &paragraph(&format!("From `{}` on, a value can see the whole input.", view.layer)),
        None => text + &paragraph("No value sees the whole input: what is further apart cannot be related."),
    }
}

fn wide(analysis: &Architecture, file: &str, has_weights: bool) -> String {
    let title = "convolutions wider than 3, and the stack of 3x3 that sees the same\n";
    if analysis.wide_convolutions.is_empty() {
        return format!("{title}\n there are none\n");
    }
    let rows = analysis.wide_convolutions.iter().flat_map(|wide| {
        let channels = |between: &str| format!("{} → {between}{}", wide.input[0], wide.output[0]);
        let written = figures_row(wide.layer.clone(), by_axis(&wide.kernel), channels(""), &wide.written);
        let stack = wide.stack.as_ref().map(|stack| {
            let between = format!("{} → ", stack.channels_between);
            figures_row(
                String::new(),
                kernels(&stack.kernels),
                channels(&between),
                &stack.figures,
            )
        });
        std::iter::once(written).chain(stack)
    });
    let table = console::table(
        [
            "layer",
            "kernel",
            "channels",
            "parameters",
            "MACs",
            "non-lin.",
            "predicted",
        ],
        [false, false, false, true, true, true, true],
        rows,
    );
    let mut text = format!("{title}\n{table}\n");
    for wide in &analysis.wide_convolutions {
        text += &paragraph(&verdict(wide));
    }
    if let Some(stacked) = &analysis.stacked {
        text += "\n";
        text += &networks([row("as written", &analysis.written), row("all stacked", stacked)]);
        text +=
            &format!("\n to make that network, to be trained:\n   netc explain {file} --apply stack-3x3 -o NEW.net\n");
        text += " with --between equal-parameters, stacks are so narrow that they hold no more than the wide layers\n";
        if !has_weights {
            text += " with --weights W, how well stacks can stand for trained weights is worked out, too\n";
        }
    }
    text
}

fn figures_row(layer: String, kernel: String, channels: String, figures: &Figures) -> [String; 7] {
    [
        layer,
        kernel,
        channels,
        grouped(figures.parameters),
        grouped(figures.macs),
        figures.nonlinearities.to_string(),
        time(figures.predicted_us),
    ]
}

/// `2 x 3x3`, or each where they differ.
fn kernels(kernels: &[Vec<usize>]) -> String {
    match kernels {
        [first, rest @ ..] if rest.iter().all(|kernel| kernel == first) => {
            format!("{} of {}", kernels.len(), by_axis(first))
        }
        _ => kernels
            .iter()
            .map(|kernel| by_axis(kernel))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// What the numbers of one convolution say.
fn verdict(wide: &WideConvolution) -> String {
    let Some(stack) = &wide.stack else {
        return format!(
            "`{}`: a stack for so wide a kernel would have more than {MOST_LAYERS} layers.",
            wide.layer
        );
    };
    let (before, after) = (&wide.written, &stack.figures);
    let mut text = format!(
        "`{}`: the stack has {} parameters, {} MACs and {} time, and {} instead of {}.",
        wide.layer,
        times(after.parameters as f64 / before.parameters.max(1) as f64),
        times(after.macs as f64 / before.macs.max(1) as f64),
        times(after.predicted_us / before.predicted_us.max(f64::MIN_POSITIVE)),
        counted(after.nonlinearities, "non-linearity"),
        before.nonlinearities,
    );
    if wide.stride.iter().any(|&stride| stride > 1) {
        text += &format!(
            " Its stride of {} can only stand on the last layer, so the layers before it work at full resolution.",
            each_axis(&wide.stride)
        );
    }
    text += &advice(wide, stack);
    if wide.activation.is_none() {
        text += " No non-linearity follows it; relu is meant to stand between the layers.";
    }
    if let Some(found) = &stack.factorization {
        text += &format!(" {}", factorized(found));
    }
    text
}

fn advice(wide: &WideConvolution, stack: &StackReport) -> String {
    let (before, after) = (&wide.written, &stack.figures);
    if after.parameters < before.parameters && after.macs <= before.macs {
        return " It is cheaper and sees the same: worth training.".to_owned();
    }
    if after.parameters < before.parameters {
        return " It holds less and works more: worth training where parameters count.".to_owned();
    }
    let equal = match stack.channels_between_at_equal_parameters {
        Some(equal) => format!(
            "with {} between its layers it would hold no more",
            counted(equal, "channel")
        ),
        None => "no number of channels between its layers makes it hold less".to_owned(),
    };
    format!(
        " From {} to {} there is nothing to save: {equal}. Keep the wide one unless the non-linearity is wanted.",
        counted(wide.input[0], "channel"),
        wide.output[0]
    )
}

/// How well given weights can be stacked.
fn factorized(found: &Factorization) -> String {
    match found.method {
        Method::Shifts => {
            "Its weights can be stacked exactly: the channels between suffice for moved copies of every input."
                .to_owned()
        }
        Method::LeastSquares if found.residual == 0.0 => "Its weights can be stacked exactly.".to_owned(),
        Method::LeastSquares => format!(
            "The best stack found for its weights, without non-linearities, misses {:.3} of their norm ({}{}).",
            found.residual,
            counted(found.sweeps, "round"),
            if found.converged { "" } else { ", and could come closer" }
        ),
    }
}

fn residual(found: &Factorization, passes: bool, activation: &str) -> String {
    let close = if found.residual == 0.0 {
        "exact".to_owned()
    } else {
        format!("residual {:.3}", found.residual)
    };
    let how = if passes { "through" } else { "without" };
    format!("{close}, {how} {activation}")
}

fn color(color: &Color) -> String {
    let (grey, colored) = (&color.grey, &color.color);
    let row = |what: String, of: &dyn Fn(&netc::stages::analyze::color::ColorFigures) -> String| {
        [what, of(grey), of(colored)]
    };
    let layers = color.layers.join(", ");
    let table = console::table(
        ["", "grey, 1 channel", "color, 3 channels"],
        [false, true, true],
        [
            row(format!("{layers}: parameters"), &|it| grouped(it.layer_parameters)),
            row(format!("{layers}: MACs"), &|it| grouped(it.layer_macs)),
            row(format!("{layers}: share of all MACs"), &|it| {
                format!("{:.1} %", it.layer_macs_share * 100.0)
            }),
            row("network: parameters".to_owned(), &|it| grouped(it.network.parameters)),
            row("network: MACs".to_owned(), &|it| grouped(it.network.macs)),
            row("network: predicted".to_owned(), &|it| time(it.network.predicted_us)),
        ],
    );
    let says = format!(
        "The picture is {} now. Color costs the network {} parameters, {} MACs and {} time against grey: only the first \
         layer sees it.",
        if color.shape[0] == 1 { "grey" } else { "in color" },
        times(colored.network.parameters as f64 / grey.network.parameters.max(1) as f64),
        times(colored.network.macs as f64 / grey.network.macs.max(1) as f64),
        times(colored.network.predicted_us / grey.network.predicted_us.max(f64::MIN_POSITIVE)),
    );
    format!(
        "grey against color (`{}`)\n\n{table}\n{}",
        color.input,
        paragraph(&says)
    )
}

fn depth(runs: &[Run], left_out: usize) -> String {
    let rows = runs.iter().flat_map(|run| {
        let kind = if run.kernel.is_empty() {
            run.kind.to_owned()
        } else {
            format!("{} {}", run.kind, by_axis(&run.kernel))
        };
        let name = match run.layers.as_slice() {
            [first, .., last] => format!("{first} .. {last}"),
            layers => layers.concat(),
        };
        let forms = [
            (name, kind, Some(&run.written)),
            ("  shallower".to_owned(), String::new(), run.shallower.as_ref()),
            ("  deeper".to_owned(), String::new(), run.deeper.as_ref()),
        ];
        forms
            .into_iter()
            .filter_map(|(name, kind, form)| form.map(|form| form_row(name, kind, form)))
    });
    let table = console::table(
        [
            "run",
            "layers",
            "depth x width",
            "sees",
            "network: parameters",
            "MACs",
            "predicted",
        ],
        [false, false, true, true, true, true, true],
        rows,
    );
    let mut text = format!("depth against width, with no more parameters in the whole network\n\n{table}\n");
    if left_out > 0 {
        text += &format!(" and {} with fewer parameters\n", counted(left_out, "run"));
    }
    text + &paragraph(
        "A run is a chain of layers of one kind and width. Each row is the whole network with that run one layer shallower \
         or deeper, and as wide as the parameters allow. Deeper sees more and bends more often; wider computes more at \
         once. Which learns better, only training says.",
    )
}

fn form_row(name: String, kind: String, form: &RunFigures) -> [String; 7] {
    [
        name,
        kind,
        format!("{} x {}", form.depth, form.width),
        by_axis(&form.receptive_field),
        grouped(form.network.parameters),
        grouped(form.network.macs),
        time(form.network.predicted_us),
    ]
}

/// Whole networks, one below the other.
fn networks(rows: [[String; 6]; 2]) -> String {
    let header = [
        "network",
        "layers",
        "parameters",
        "MACs",
        "non-linearities",
        "predicted",
    ];
    console::table(header, [false, true, true, true, true, true], rows)
}

fn row(name: &str, figures: &Figures) -> [String; 6] {
    [
        name.to_owned(),
        figures.layers.to_string(),
        grouped(figures.parameters),
        grouped(figures.macs),
        figures.nonlinearities.to_string(),
        time(figures.predicted_us),
    ]
}

/// `0.72x`, with as many digits as say something.
fn times(ratio: f64) -> String {
    match ratio {
        10.0.. => format!("{ratio:.0} times the"),
        _ if ratio == 1.0 => "the same".to_owned(),
        _ if (ratio - 1.0).abs() < 0.005 => "nearly the same".to_owned(),
        _ => format!("{ratio:.2} times the"),
    }
}

fn time(microseconds: f64) -> String {
    match microseconds {
        10_000.0.. => format!("{:.1} ms", microseconds / 1e3),
        1_000.0.. => format!("{:.2} ms", microseconds / 1e3),
        100.0.. => format!("{microseconds:.0} µs"),
        _ => format!("{microseconds:.1} µs"),
    }
}

/// One number where all axes have the same.
fn each_axis<T: ToString + PartialEq>(numbers: &[T]) -> String {
    match numbers {
        [first, rest @ ..] if rest.iter().all(|number| number == first) => first.to_string(),
        _ => numbers.iter().map(T::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = match what.strip_suffix('y') {
        _ if count == 1 => what.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None => format!("{what}s"),
    };
    format!("{count} {plural}")
}

/// Lines of at most [`WIDTH`] columns, one blank before each.
fn paragraph(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() >= WIDTH {
            lines += &format!("{line}\n");
            line.clear();
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &format!("{line}\n")
}
