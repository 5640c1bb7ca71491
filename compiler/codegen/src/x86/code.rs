//! The processor's name for each operation, at each level and width.

use iced_x86::Code;

use super::level::Level;
use crate::ir::{Binary, Class, Shift, Type};

/// How much of a vector register an operation works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// The lowest lane alone (or, for words, a 128-bit register of which only the lowest lane counts).
    One,
    /// 128 bits.
    Four,
    /// 256 bits.
    Eight,
    /// 512 bits; AVX-512 only.
    Sixteen,
}

impl Width {
    pub(super) fn of(ty: Type) -> Self {
        match ty.lanes {
            1 => Self::One,
            4 => Self::Four,
            8 => Self::Eight,
            16 => Self::Sixteen,
            lanes => panic!("no register has {lanes} lanes"),
        }
    }
}

/// Picks by level and width: AVX-512 with 16, 8, 4 lanes and one, AVX2 with 8, 4 lanes and one.
macro_rules! pick {
    ($level:expr, $width:expr, $z:ident, $y:ident, $x:ident, $s:ident, $y2:ident, $x2:ident, $s2:ident) => {
        match ($level, $width) {
            (Level::Avx512, Width::Sixteen) => Code::$z,
            (Level::Avx512, Width::Eight) => Code::$y,
            (Level::Avx512, Width::Four) => Code::$x,
            (Level::Avx512, Width::One) => Code::$s,
            (Level::Avx2, Width::Eight) => Code::$y2,
            (Level::Avx2, Width::Four) => Code::$x2,
            (Level::Avx2, Width::One) => Code::$s2,
            (Level::Avx2, Width::Sixteen) => panic!("AVX2 has no vectors of sixteen lanes"),
        }
    };
}

/// `a op b`.
pub(super) fn binary(operation: Binary, class: Class, level: Level, width: Width) -> Code {
    match (operation, class) {
        (Binary::Add, Class::Float) => pick!(
            level,
            width,
            EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vaddps_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vaddps_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vaddss_xmm_k1z_xmm_xmmm32_er,
            VEX_Vaddps_ymm_ymm_ymmm256,
            VEX_Vaddps_xmm_xmm_xmmm128,
            VEX_Vaddss_xmm_xmm_xmmm32
        ),
        (Binary::Subtract, Class::Float) => pick!(
            level,
            width,
            EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vsubps_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vsubps_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vsubss_xmm_k1z_xmm_xmmm32_er,
            VEX_Vsubps_ymm_ymm_ymmm256,
            VEX_Vsubps_xmm_xmm_xmmm128,
            VEX_Vsubss_xmm_xmm_xmmm32
        ),
        (Binary::Multiply, Class::Float) => pick!(
            level,
            width,
            EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vmulps_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vmulps_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vmulss_xmm_k1z_xmm_xmmm32_er,
            VEX_Vmulps_ymm_ymm_ymmm256,
            VEX_Vmulps_xmm_xmm_xmmm128,
            VEX_Vmulss_xmm_xmm_xmmm32
        ),
        (Binary::Divide, _) => pick!(
            level,
            width,
            EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er,
            EVEX_Vdivps_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vdivps_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vdivss_xmm_k1z_xmm_xmmm32_er,
            VEX_Vdivps_ymm_ymm_ymmm256,
            VEX_Vdivps_xmm_xmm_xmmm128,
            VEX_Vdivss_xmm_xmm_xmmm32
        ),
        (Binary::Minimum, _) => pick!(
            level,
            width,
            EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae,
            EVEX_Vminps_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vminps_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vminss_xmm_k1z_xmm_xmmm32_sae,
            VEX_Vminps_ymm_ymm_ymmm256,
            VEX_Vminps_xmm_xmm_xmmm128,
            VEX_Vminss_xmm_xmm_xmmm32
        ),
        (Binary::Maximum, _) => pick!(
            level,
            width,
            EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae,
            EVEX_Vmaxps_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vmaxps_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vmaxss_xmm_k1z_xmm_xmmm32_sae,
            VEX_Vmaxps_ymm_ymm_ymmm256,
            VEX_Vmaxps_xmm_xmm_xmmm128,
            VEX_Vmaxss_xmm_xmm_xmmm32
        ),
        (Binary::Add, _) => pick!(
            level,
            width,
            EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vpaddd_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vpaddd_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vpaddd_xmm_k1z_xmm_xmmm128b32,
            VEX_Vpaddd_ymm_ymm_ymmm256,
            VEX_Vpaddd_xmm_xmm_xmmm128,
            VEX_Vpaddd_xmm_xmm_xmmm128
        ),
        (Binary::Subtract, _) => pick!(
            level,
            width,
            EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vpsubd_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vpsubd_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vpsubd_xmm_k1z_xmm_xmmm128b32,
            VEX_Vpsubd_ymm_ymm_ymmm256,
            VEX_Vpsubd_xmm_xmm_xmmm128,
            VEX_Vpsubd_xmm_xmm_xmmm128
        ),
        (Binary::Multiply, _) => pick!(
            level,
            width,
            EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vpmulld_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vpmulld_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vpmulld_xmm_k1z_xmm_xmmm128b32,
            VEX_Vpmulld_ymm_ymm_ymmm256,
            VEX_Vpmulld_xmm_xmm_xmmm128,
            VEX_Vpmulld_xmm_xmm_xmmm128
        ),
        (Binary::And, _) => pick!(
            level,
            width,
            EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vpandd_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vpandd_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vpandd_xmm_k1z_xmm_xmmm128b32,
            VEX_Vpand_ymm_ymm_ymmm256,
            VEX_Vpand_xmm_xmm_xmmm128,
            VEX_Vpand_xmm_xmm_xmmm128
        ),
        (Binary::Xor, _) => pick!(
            level,
            width,
            EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vpxord_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32,
            VEX_Vpxor_ymm_ymm_ymmm256,
            VEX_Vpxor_xmm_xmm_xmmm128,
            VEX_Vpxor_xmm_xmm_xmmm128
        ),
    }
}

/// `r = a · b + r`.
pub(super) fn multiply_add_231(level: Level, width: Width) -> Code {
    pick!(
        level,
        width,
        EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
        EVEX_Vfmadd231ps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vfmadd231ps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vfmadd231ss_xmm_k1z_xmm_xmmm32_er,
        VEX_Vfmadd231ps_ymm_ymm_ymmm256,
        VEX_Vfmadd231ps_xmm_xmm_xmmm128,
        VEX_Vfmadd231ss_xmm_xmm_xmmm32
    )
}

/// `r = a · r + b`.
pub(super) fn multiply_add_213(level: Level, width: Width) -> Code {
    pick!(
        level,
        width,
        EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er,
        EVEX_Vfmadd213ps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vfmadd213ps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vfmadd213ss_xmm_k1z_xmm_xmmm32_er,
        VEX_Vfmadd213ps_ymm_ymm_ymmm256,
        VEX_Vfmadd213ps_xmm_xmm_xmmm128,
        VEX_Vfmadd213ss_xmm_xmm_xmmm32
    )
}

/// Memory to register.
pub(super) fn load(level: Level, width: Width) -> Code {
    pick!(
        level,
        width,
        EVEX_Vmovups_zmm_k1z_zmmm512,
        EVEX_Vmovups_ymm_k1z_ymmm256,
        EVEX_Vmovups_xmm_k1z_xmmm128,
        EVEX_Vmovss_xmm_k1z_m32,
        VEX_Vmovups_ymm_ymmm256,
        VEX_Vmovups_xmm_xmmm128,
        VEX_Vmovss_xmm_m32
    )
}

/// Register to memory.
pub(super) fn store(level: Level, width: Width) -> Code {
    pick!(
        level,
        width,
        EVEX_Vmovups_zmmm512_k1z_zmm,
        EVEX_Vmovups_ymmm256_k1z_ymm,
        EVEX_Vmovups_xmmm128_k1z_xmm,
        EVEX_Vmovss_m32_k1_xmm,
        VEX_Vmovups_ymmm256_ymm,
        VEX_Vmovups_xmmm128_xmm,
        VEX_Vmovss_m32_xmm
    )
}

/// Register to register, at least the lowest lanes.
pub(super) fn copy(level: Level, width: Width) -> Code {
    pick!(
        level,
        width,
        EVEX_Vmovaps_zmm_k1z_zmmm512,
        EVEX_Vmovaps_ymm_k1z_ymmm256,
        EVEX_Vmovaps_xmm_k1z_xmmm128,
        EVEX_Vmovaps_xmm_k1z_xmmm128,
        VEX_Vmovaps_ymm_ymmm256,
        VEX_Vmovaps_xmm_xmmm128,
        VEX_Vmovaps_xmm_xmmm128
    )
}

/// One element of memory to all lanes.
pub(super) fn broadcast_memory(level: Level, width: Width) -> Code {
    pick!(
        level,
        width,
        EVEX_Vbroadcastss_zmm_k1z_xmmm32,
        EVEX_Vbroadcastss_ymm_k1z_xmmm32,
        EVEX_Vbroadcastss_xmm_k1z_xmmm32,
        EVEX_Vmovss_xmm_k1z_m32,
        VEX_Vbroadcastss_ymm_m32,
        VEX_Vbroadcastss_xmm_m32,
        VEX_Vmovss_xmm_m32
    )
}

/// The lowest lane to all lanes.
pub(super) fn broadcast_register(level: Level, width: Width) -> Code {
    pick!(
        level,
        width,
        EVEX_Vbroadcastss_zmm_k1z_xmmm32,
        EVEX_Vbroadcastss_ymm_k1z_xmmm32,
        EVEX_Vbroadcastss_xmm_k1z_xmmm32,
        EVEX_Vbroadcastss_xmm_k1z_xmmm32,
        VEX_Vbroadcastss_ymm_xmm,
        VEX_Vbroadcastss_xmm_xmm,
        VEX_Vbroadcastss_xmm_xmm
    )
}

/// `√a`, two operands for all lanes and three for one.
pub(super) fn square_root(level: Level, width: Width) -> Code {
    pick!(
        level,
        width,
        EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er,
        EVEX_Vsqrtps_ymm_k1z_ymmm256b32,
        EVEX_Vsqrtps_xmm_k1z_xmmm128b32,
        EVEX_Vsqrtss_xmm_k1z_xmm_xmmm32_er,
        VEX_Vsqrtps_ymm_ymmm256,
        VEX_Vsqrtps_xmm_xmmm128,
        VEX_Vsqrtss_xmm_xmm_xmmm32
    )
}

/// Words to floats.
pub(super) fn to_float(level: Level, width: Width) -> Code {
    pick!(
        level,
        width,
        EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er,
        EVEX_Vcvtdq2ps_ymm_k1z_ymmm256b32,
        EVEX_Vcvtdq2ps_xmm_k1z_xmmm128b32,
        EVEX_Vcvtdq2ps_xmm_k1z_xmmm128b32,
        VEX_Vcvtdq2ps_ymm_ymmm256,
        VEX_Vcvtdq2ps_xmm_xmmm128,
        VEX_Vcvtdq2ps_xmm_xmmm128
    )
}

/// Words shifted by an immediate.
pub(super) fn shift(operation: Shift, level: Level, width: Width) -> Code {
    match operation {
        Shift::Left => pick!(
            level,
            width,
            EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8,
            EVEX_Vpslld_ymm_k1z_ymmm256b32_imm8,
            EVEX_Vpslld_xmm_k1z_xmmm128b32_imm8,
            EVEX_Vpslld_xmm_k1z_xmmm128b32_imm8,
            VEX_Vpslld_ymm_ymm_imm8,
            VEX_Vpslld_xmm_xmm_imm8,
            VEX_Vpslld_xmm_xmm_imm8
        ),
        Shift::Right => pick!(
            level,
            width,
            EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8,
            EVEX_Vpsrld_ymm_k1z_ymmm256b32_imm8,
            EVEX_Vpsrld_xmm_k1z_xmmm128b32_imm8,
            EVEX_Vpsrld_xmm_k1z_xmmm128b32_imm8,
            VEX_Vpsrld_ymm_ymm_imm8,
            VEX_Vpsrld_xmm_xmm_imm8,
            VEX_Vpsrld_xmm_xmm_imm8
        ),
        Shift::RightSigned => pick!(
            level,
            width,
            EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8,
            EVEX_Vpsrad_ymm_k1z_ymmm256b32_imm8,
            EVEX_Vpsrad_xmm_k1z_xmmm128b32_imm8,
            EVEX_Vpsrad_xmm_k1z_xmmm128b32_imm8,
            VEX_Vpsrad_ymm_ymm_imm8,
            VEX_Vpsrad_xmm_xmm_imm8,
            VEX_Vpsrad_xmm_xmm_imm8
        ),
    }
}

/// Comparison of floats with a predicate, to a mask register or a vector.
pub(super) fn compare_floats(level: Level, width: Width) -> Code {
    pick!(
        level,
        width,
        EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae,
        EVEX_Vcmpps_kr_k1_ymm_ymmm256b32_imm8,
        EVEX_Vcmpps_kr_k1_xmm_xmmm128b32_imm8,
        EVEX_Vcmpss_kr_k1_xmm_xmmm32_imm8_sae,
        VEX_Vcmpps_ymm_ymm_ymmm256_imm8,
        VEX_Vcmpps_xmm_xmm_xmmm128_imm8,
        VEX_Vcmpss_xmm_xmm_xmmm32_imm8
    )
}

/// Comparison of words with a predicate (AVX-512 only).
pub(super) const fn compare_words(unsigned: bool, width: Width) -> Code {
    match (unsigned, width) {
        (false, Width::Sixteen) => Code::EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8,
        (false, Width::Eight) => Code::EVEX_Vpcmpd_kr_k1_ymm_ymmm256b32_imm8,
        (false, Width::Four | Width::One) => Code::EVEX_Vpcmpd_kr_k1_xmm_xmmm128b32_imm8,
        (true, Width::Sixteen) => Code::EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8,
        (true, Width::Eight) => Code::EVEX_Vpcmpud_kr_k1_ymm_ymmm256b32_imm8,
        (true, Width::Four | Width::One) => Code::EVEX_Vpcmpud_kr_k1_xmm_xmmm128b32_imm8,
    }
}

/// Equality (AVX2 only).
pub(super) const fn equal_words(width: Width) -> Code {
    match width {
        Width::Eight | Width::Sixteen => Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256,
        Width::Four | Width::One => Code::VEX_Vpcmpeqd_xmm_xmm_xmmm128,
    }
}

/// Signed `a > b` (AVX2 only).
pub(super) const fn greater_words(width: Width) -> Code {
    match width {
        Width::Eight | Width::Sixteen => Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256,
        Width::Four | Width::One => Code::VEX_Vpcmpgtd_xmm_xmm_xmmm128,
    }
}

/// `mask ? b : a`: with a mask register, or as a fourth operand.
pub(super) fn blend(level: Level, width: Width) -> Code {
    pick!(
        level,
        width,
        EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vblendmps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vblendmps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vblendmps_xmm_k1z_xmm_xmmm128b32,
        VEX_Vblendvps_ymm_ymm_ymmm256_ymm,
        VEX_Vblendvps_xmm_xmm_xmmm128_xmm,
        VEX_Vblendvps_xmm_xmm_xmmm128_xmm
    )
}

/// A mask register to all ones or zeros in each lane (AVX-512 only).
pub(super) const fn mask_to_words(width: Width) -> Code {
    match width {
        Width::Sixteen => Code::EVEX_Vpmovm2d_zmm_kr,
        Width::Eight => Code::EVEX_Vpmovm2d_ymm_kr,
        Width::Four | Width::One => Code::EVEX_Vpmovm2d_xmm_kr,
    }
}
