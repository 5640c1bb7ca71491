//! Compiled convolutions by tiles against naive loops in f64, and how far rounding moves them.

use netc_schedule::kernel::{
    Contract, Lanes, PackWeights, PoolKind, Pooled, Stride, Tap, Tiling, Winograd, WinogradWeights,
};
use netc_schedule::{Axes, Expression, Instruction, Kernel, Machine, View};
use proptest::prelude::*;

use super::super::pooled::window;
use super::points::Transforms;
use crate::testing::{Memory, Order, Setup, any_order, element, machines};

/// How far a result may be off, as a share of one plus its size, by the larger number of points of both axes: sums of up
/// to a few hundred products of numbers below 1.
const TOLERANCES: [f32; 9] = [4e-5, 4e-5, 4e-5, 4e-5, 4e-5, 3e-4, 3e-4, 4e-4, 4e-4];

/// One convolution with everything that may vary.
#[derive(Clone, Debug)]
struct Case {
    tiling: Tiling,
    groups: usize,
    depth: usize,
    width: usize,
    out: (usize, usize),
    orders: (Order, Order),
    halo: usize,
    bias: bool,
    epilogue: usize,
    batch: usize,
    pooled: Option<Pooled>,
}

fn any_axis() -> impl Strategy<Value = (usize, usize, usize)> {
    let sizes = prop::sample::select(vec![
        (1, 1),
        (2, 3),
        (3, 3),
        (4, 3),
        (2, 5),
        (3, 2),
        (6, 3),
        (4, 5),
        (2, 7),
        (1, 3),
    ]);
    (sizes, 1usize..4).prop_map(|((results, taps), dilation)| (results, taps, dilation))
}

fn any_case() -> impl Strategy<Value = Case> {
    let channels = (prop::sample::select(vec![1usize, 1, 2, 3]), 1usize..20, 1usize..24);
    let place = ((1usize..9, 1usize..14), (any_order(), any_order()), 0usize..2);
    let rest = (any::<bool>(), 0usize..4, prop::sample::select(vec![0usize, 1, 2, 5]));
    ((any_axis(), any_axis()), channels, place, rest).prop_map(|((rows, columns), channels, place, rest)| Case {
        tiling: Tiling {
            results: [rows.0, columns.0],
            taps: [rows.1, columns.1],
            dilation: [rows.2, columns.2],
        },
        groups: channels.0,
        depth: channels.1,
        width: channels.2,
        out: place.0,
        orders: place.1,
        halo: place.2,
        bias: rest.0,
        epilogue: rest.1,
        batch: rest.2,
        pooled: None,
    })
}

/// Cases with a pool behind whose windows lie in tiles.
fn any_pooled_case() -> impl Strategy<Value = Case> {
    let kind = prop::sample::select(vec![PoolKind::Maximum, PoolKind::Average { count_padding: true }]);
    (any_case(), kind, 1usize..3, 1usize..3).prop_map(|(mut case, kind, rows, columns)| {
        let mut fitted = |axis: usize, size: usize| {
            if case.tiling.results[axis].is_multiple_of(size) {
                case.tiling.dilation[axis] = 1;
                size
            } else {
                1
            }
        };
        let (rows, columns) = (fitted(0, rows), fitted(1, columns));
        case.pooled = Some(Pooled { kind, rows, columns });
        case.epilogue = case.epilogue.min(2);
        case
    })
}

/// A number in [-1, 1) for each weight.
fn weight(group: usize, tap: usize, input: usize, output: usize) -> f32 {
    let mixed = [group, tap, input, output].into_iter().fold(17u32, |hash, index| {
        (hash ^ index as u32).wrapping_mul(0x9e37_79b1).rotate_left(13)
    });
    (mixed >> 8) as f32 / (1u32 << 23) as f32 - 1.0
}

impl Case {
    fn taps(&self) -> Vec<Tap> {
        let Tiling { taps, dilation, .. } = self.tiling;
        // The window starts in the halo, one row and column before the view.
        let at = |row: usize, column: usize| Tap {
            row: (row * dilation[0]) as isize - 1,
            column: (column * dilation[1]) as isize - 1,
        };
        (0..taps[0])
            .flat_map(|row| (0..taps[1]).map(move |column| at(row, column)))
            .collect()
    }

    /// Weights at a point, for all source and result channels of a panel.
    fn transformed(&self, panel: usize) -> impl Fn(usize, f32) -> f32 + use<> {
        let (tiling, depth, width) = (self.tiling, self.depth, self.width);
        let transforms = [0, 1].map(|axis| Transforms::new(tiling.results[axis], tiling.taps[axis]));
        let panels = width.div_ceil(panel);
        move |index, _| {
            let (lane, rest) = (index % panel, index / panel);
            let (input, rest) = (rest % depth, rest / depth);
            let (point, block) = (rest % tiling.positions(), rest / tiling.positions());
            let (group, output) = (block / panels, block % panels * panel + lane);
            if output >= width {
                return 0.0;
            }
            let columns = tiling.taps[1];
            let along = |row: usize| -> f64 {
                let taps = (0..columns).map(|column| f64::from(weight(group, row * columns + column, input, output)));
                transforms[1].weights.of(&taps.collect::<Vec<_>>())[point % tiling.points()[1]]
            };
            let rows: Vec<f64> = (0..tiling.taps[0]).map(along).collect();
            transforms[0].weights.of(&rows)[point / tiling.points()[1]] as f32
        }
    }

    /// The operands, with exactly as much halo as tiles reach.
    fn setup(&self, machine: &Machine) -> (Setup, Vec<View>, View) {
        self.setup_in(Setup::new(9).on(machine), machine)
    }

    fn setup_in(&self, mut setup: Setup, machine: &Machine) -> (Setup, Vec<View>, View) {
        let panel = machine.panel(self.width);
        let [down, across] = window(self.pooled);
        let sums = (self.out.0 * down, self.out.1 * across);
        let tiles = self.tiling.tiles([sums.0, sums.1]);
        let Tiling {
            results,
            taps,
            dilation,
        } = self.tiling;
        // From the window origin's first to the last touched, less the one before the view.
        let reach = |axis: usize| (tiles[axis] * results[axis] + taps[axis] - 1) * dilation[axis] - 1;
        let extents = (self.groups * self.depth, reach(0).max(1), reach(1).max(1));
        let x = setup.buffer(extents, self.orders.0, [1, 0, 1, 0], true);
        let panels = self.groups * self.width.div_ceil(panel);
        let weights = setup.flat(panels * self.tiling.positions() * self.depth * panel);
        setup.fill(&weights, self.transformed(panel));
        let bias = setup.flat(self.groups * self.width);
        let out = (self.groups * self.width, self.out.0, self.out.1);
        let full = setup.batched((out.0, sums.0, sums.1), self.orders.0, 0);
        let channel = setup.flat(self.groups * self.width);
        let y = setup.batched(out, self.orders.1, self.halo);
        let mut reads = vec![x, weights];
        if self.bias {
            reads.push(bias);
        }
        match self.epilogue {
            1 => reads.push(full),
            2 => reads.extend([channel, full]),
            3 => reads.push(y.clone()),
            _ => {}
        }
        (setup, reads, y)
    }

    fn contract(&self, panel: usize) -> Contract {
        let mut epilogue = Expression::identity();
        match self.epilogue {
            1 | 3 => {
                epilogue.push(Instruction::Read(1));
                epilogue.push(Instruction::Add(0, 1));
            }
            2 => {
                epilogue.push(Instruction::Read(1));
                epilogue.push(Instruction::Read(2));
                epilogue.push(Instruction::MultiplyAdd(0, 1, 2));
                let zero = epilogue.push(Instruction::Constant(0.0));
                let rectified = epilogue.push(Instruction::Maximum(3, zero));
                epilogue.push(Instruction::Tanh(rectified));
            }
            _ => {}
        }
        Contract {
            taps: self.taps(),
            stride: Stride { row: 1, column: 1 },
            groups: self.groups,
            depth: self.depth,
            width: self.width,
            panel,
            lanes: Lanes::Channels,
            bias: self.bias,
            epilogue,
            pooled: self.pooled,
        }
    }

    /// What is stored: a window of values as one.
    fn result(&self, memory: &Memory, views: (&[View], &View), (n, c, h, w): (usize, usize, isize, isize)) -> f32 {
        let [rows, columns] = window(self.pooled).map(|extent| extent as isize);
        let values = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (h * rows + row, w * columns + column)))
            .map(|(h, w)| self.reference(memory, views, (n, c, h, w)));
        match self.pooled.map(|pooled| pooled.kind) {
            Some(PoolKind::Average { .. }) => values.sum::<f32>() / (rows * columns) as f32,
            _ => values.fold(f32::NEG_INFINITY, f32::max),
        }
    }

    fn reference(
        &self,
        memory: &Memory,
        (reads, y): (&[View], &View),
        (n, c, h, w): (usize, usize, isize, isize),
    ) -> f32 {
        let (group, output) = (c / self.width, c % self.width);
        let mut sum = if self.bias { f64::from(memory[2][c]) } else { 0.0 };
        for (tap, Tap { row, column }) in self.taps().into_iter().enumerate() {
            for input in 0..self.depth {
                let x = memory[0][element(&reads[0], n, group * self.depth + input, h + row, w + column)];
                sum += f64::from(x) * f64::from(weight(group, tap, input, output));
            }
        }
        let first = 2 + usize::from(self.bias);
        let at = |index: usize| {
            let view = &reads[first + index];
            let Axes { row, column, channel } = view.extents;
            let (c, h, w) = (c.min(channel - 1), h.min(row as isize - 1), w.min(column as isize - 1));
            f64::from(memory[view.buffer.index()][element(view, n, c, h, w)])
        };
        let value = match self.epilogue {
            1 => sum + at(0),
            3 => sum + f64::from(memory[y.buffer.index()][element(y, n, c, h, w)]),
            2 => sum.mul_add(at(0), at(1)).max(0.0).tanh(),
            _ => sum,
        };
        value as f32
    }

    fn check(&self) {
        let points = self.tiling.points();
        let tolerance = TOLERANCES[points[0].max(points[1])];
        for machine in machines() {
            let (setup, reads, y) = self.setup(&machine);
            let views = reads.clone();
            let kernel = Kernel::Winograd(Winograd {
                tiling: self.tiling,
                contract: self.contract(machine.panel(self.width)),
            });
            setup.check(kernel, reads, y.clone(), self.batch, tolerance, |memory, n, c, h, w| {
                let value = self.result(memory, (&views, &y), (n, c, h, w));
                memory[y.buffer.index()][element(&y, n, c, h, w)] = value;
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sums_as_documented(case in any_case()) {
        case.check();
    }

    #[test]
    fn pools_as_documented(case in any_pooled_case()) {
        case.check();
    }

    #[test]
    fn weights_at_points(case in any_case()) {
        for machine in machines() {
            let panel = machine.panel(case.width);
            let pack = PackWeights {
                groups: case.groups,
                group_stride: 0,
                width: case.width,
                width_stride: 0,
                depth: case.depth,
                depth_stride: 0,
                tap_offsets: vec![0; case.tiling.taps.iter().product()],
                panel,
            };
            let mut setup = Setup::new(3).on(&machine);
            let (packed, u) = (setup.flat(pack.packed_count()), WinogradWeights {
                tiling: case.tiling,
                panels: case.groups * case.width.div_ceil(panel),
                elements: case.depth * panel,
            });
            let to = setup.flat(u.transformed_count());
            let (taps, depth, groups) = (pack.tap_offsets.len(), case.depth, case.groups);
            let (width, panels) = (case.width, case.width.div_ceil(panel));
            setup.fill(&packed, move |index, _| {
                let (lane, rest) = (index % panel, index / panel);
                let (input, rest) = (rest % depth, rest / depth);
                let (tap, block) = (rest % taps, rest / taps);
                let output = block % panels * panel + lane;
                assert!(block / panels < groups);
                if output < width { weight(block / panels, tap, input, output) } else { 0.0 }
            });
            let expected = case.transformed(panel);
            setup.check_whole(Kernel::WinogradWeights(u), vec![packed], to, 1, 2e-6, |memory| {
                for (index, element) in memory[1].iter_mut().enumerate() {
                    *element = expected(index, 0.0);
                }
            });
        }
    }
}

/// Several tasks, shared channels, loops over depth, tiles that reach beyond the result, several samples in a task.
#[test]
fn large_sums() {
    let case = |results: usize, out: (usize, usize), (depth, width): (usize, usize), batch: usize| Case {
        tiling: Tiling {
            results: [results, results],
            taps: [3, 3],
            dilation: [1, 1],
        },
        groups: 1,
        depth,
        width,
        out,
        orders: (Order::ChannelsLast, Order::ChannelsLast),
        halo: 1,
        bias: true,
        epilogue: 0,
        batch,
        pooled: None,
    };
    case(4, (13, 13), (48, 200), 2).check();
    case(2, (30, 30), (20, 24), 1).check();
    case(4, (4, 4), (16, 160), 23).check();
}

/// The error that replaces that of direct summation: the largest over many results, as a share of the root of the mean
/// square of the results. Inputs and weights are uniform in [-1, 1).
fn measured_error(results: usize, taps: usize, axes: usize) -> f64 {
    let tiling = Tiling {
        results: [if axes == 2 { results } else { 1 }, results],
        taps: [if axes == 2 { taps } else { 1 }, taps],
        dilation: [1, 1],
    };
    let case = Case {
        tiling,
        groups: 1,
        depth: 64,
        width: 16,
        out: (if axes == 2 { 2 * results } else { 1 }, 8 * results),
        orders: (Order::ChannelsLast, Order::ChannelsLast),
        halo: 0,
        bias: false,
        epilogue: 0,
        batch: 1,
        pooled: None,
    };
    let machine = Machine::portable();
    let (setup, reads, y) = case.setup_in(Setup::new(9).on(&machine).whole(), &machine);
    let step = netc_schedule::Step {
        name: "measured".to_owned(),
        kernel: Kernel::Winograd(Winograd {
            tiling,
            contract: case.contract(machine.panel(case.width)),
        }),
        reads: reads.clone(),
        write: y.clone(),
        macs: 0,
    };
    let start = setup.memory(1);
    let found = crate::testing::run(&step, &machine, 1, &start);
    let (mut largest, mut squares, mut count) = (0.0f64, 0.0, 0.0);
    for c in 0..case.width {
        for h in 0..case.out.0 as isize {
            for w in 0..case.out.1 as isize {
                let expected = f64::from(case.reference(&start, (&reads, &y), (0, c, h, w)));
                let found = f64::from(found[y.buffer.index()][element(&y, 0, c, h, w)]);
                largest = largest.max((found - expected).abs());
                squares += expected * expected;
                count += 1.0;
            }
        }
    }
    largest / (squares / count).sqrt()
}

/// What ARCHITECTURE.md says about the rounding of each size of tile.
#[test]
fn errors_are_as_documented() {
    let bounds = [
        ((2, 3, 2), 4e-6),
        ((3, 3, 2), 1e-5),
        ((4, 3, 2), 3e-5),
        ((2, 5, 2), 3e-5),
        ((4, 3, 1), 5e-6),
        ((2, 5, 1), 5e-6),
        ((4, 5, 1), 5e-6),
        ((6, 3, 1), 8e-6),
        ((2, 7, 1), 5e-6),
    ];
    let found = bounds
        .map(|((results, taps, axes), bound)| ((results, taps, axes), measured_error(results, taps, axes), bound));
    let within = found
        .iter()
        .all(|(_, error, bound)| error <= bound && 8.0 * error >= *bound);
    assert!(within, "((results, taps, axes), error, bound): {found:?}");
}
