//! Convolutions by Winograd's minimal filtering: what their kernels are told, and how the planner writes them.
//!
//! Along an axis with `r` taps, `m` neighboring results of a *tile* need `m + r - 1` source positions and, transformed to
//! as many points, only that many multiplications in place of `m · r`. A dilated convolution is cut into phases, each of
//! which is an undilated one over every so many-th row or column.

use netc_graph::operators::winograd_conv::WinogradConv;
use netc_graph::{NodeId, Type};
use netc_runtime::DType;
use serde::{Deserialize, Serialize};

use crate::geometry::{Halo, forward_taps, two_dimensional};
use crate::kernel::{Contract, Kernel, PackWeights, PoolWindow, Pooled, Stride};
use crate::planner::Planner;
use crate::view::{Axes, View};

/// How the results of a convolution are cut into tiles; rows, then columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tiling {
    /// Results of a tile; 1 along an axis with one tap.
    pub results: [usize; 2],
    /// Taps of the kernel.
    pub taps: [usize; 2],
    /// Distance between neighboring taps, and between neighboring results of a tile.
    pub dilation: [usize; 2],
}

impl Tiling {
    /// Source positions of a tile along each axis: as many points are transformed to.
    #[must_use]
    pub fn points(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.results[axis] + self.taps[axis] - 1)
    }

    /// Products of a tile for each pair of channels.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.points().into_iter().product()
    }

    /// Tiles along each axis in every phase, of a result of these extents. The last may reach beyond it.
    #[must_use]
    pub fn tiles(&self, extents: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| extents[axis].div_ceil(self.dilation[axis]).div_ceil(self.results[axis]))
    }

    fn of(rule: &WinogradConv, window: &PoolWindow) -> Self {
        let results = match *rule.tile.as_slice() {
            [columns] => [1, columns],
            [rows, columns] => [rows, columns],
            _ => unreachable!("the shape rule admits one or two spatial axes"),
        };
        Self {
            results,
            taps: window.kernel,
            dilation: window.dilation,
        }
    }
}

/// The sums of a [`Contract`] with stride 1 whose taps are a whole kernel in order, by tiles. Equal over the reals; other
/// bits.
///
/// - Reads: as the contraction, but for the weights, which are as [`WinogradWeights`] wrote them. Writes: `y`.
///
/// The source has a halo wide enough for every tile, also where results beyond `y` would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Winograd {
    /// The tiles.
    pub tiling: Tiling,
    /// What is computed.
    pub contract: Contract,
}

/// Transforms packed weights to the points of a tile: `u[b][p][k][o] = Σ_t G[p][t] · w[b][t][k][o]` for every panel `b`,
/// where `G` is the Kronecker product of both axes' matrices.
///
/// - Reads: `w` as [`PackWeights`] wrote it (fixed, flat). Writes: `u` (fixed, flat).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WinogradWeights {
    /// The tiles.
    pub tiling: Tiling,
    /// Panels of all groups.
    pub panels: usize,
    /// Elements of a panel for one tap.
    pub elements: usize,
}

impl WinogradWeights {
    fn new(tiling: Tiling, pack: &PackWeights) -> Self {
        Self {
            tiling,
            panels: pack.groups * pack.width.div_ceil(pack.panel),
            elements: pack.depth * pack.panel,
        }
    }

    /// Elements of the result.
    #[must_use]
    pub fn transformed_count(&self) -> usize {
        self.panels * self.tiling.positions() * self.elements
    }
}

/// Whether every window of a pool behind it lies in one tile.
pub(crate) fn holds_windows(rule: &WinogradConv, pooled: Pooled) -> bool {
    let tiling = Tiling::of(rule, &two_dimensional(&rule.window));
    let fits = |(axis, size): (usize, usize)| {
        size == 1 || (tiling.dilation[axis] == 1 && tiling.results[axis].is_multiple_of(size))
    };
    [pooled.rows, pooled.columns].into_iter().enumerate().all(fits)
}

/// The halo that tiles need around the source: every position of every tile, also of those that reach beyond the result.
pub(crate) fn halo(rule: &WinogradConv, source: Axes, result: Axes) -> Halo {
    let window = two_dimensional(&rule.window);
    let tiling = Tiling::of(rule, &window);
    let tiles = tiling.tiles([result.row, result.column]);
    let covered = [0, 1].map(|axis| tiles[axis] * tiling.results[axis] * tiling.dilation[axis]);
    let every = Stride { row: 1, column: 1 };
    Halo::of_taps(&forward_taps(&window).taps, every, source, covered)
}

impl Planner<'_> {
    /// A contraction by tiles, and its packed weights transformed.
    pub(crate) fn by_tiles(
        &mut self,
        rule: &WinogradConv,
        weights: NodeId,
        pack: &PackWeights,
        contract: Contract,
    ) -> (Kernel, View) {
        let tiling = Tiling::of(rule, &two_dimensional(&rule.window));
        let early = self.is_known_early(weights);
        let source = self.view(weights);
        let packed = self.passing(&Type::fixed(DType::F32, [pack.packed_count()]));
        self.push(
            early,
            Kernel::PackWeights(pack.clone()),
            vec![source],
            packed.clone(),
            0,
        );
        let transform = WinogradWeights::new(tiling, pack);
        let ty = Type::fixed(DType::F32, [transform.transformed_count()]);
        let write = self.temporary(&ty, early);
        self.push(
            early,
            Kernel::WinogradWeights(transform),
            vec![packed],
            write.clone(),
            0,
        );
        (Kernel::Winograd(Winograd { tiling, contract }), write)
    }
}
