//! One PNG image as a tensor of bytes.
//!
//! Grey and color are converted into each other as the network asks (color to grey by Rec. 709 luma); transparency is
//! ignored and 16 bits are cut to eight. Other formats are refused. Sizes are limited before pixels are decoded.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use crate::files;
use crate::tensor::{Data, Tensor};

/// The longest side that is read.
const MAX_SIDE: u32 = 1 << 14;

/// The most memory that decoding may take.
const MAX_DECODE_BYTES: u64 = 1 << 30;

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file cannot be read.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no PNG, damaged, or too large.
    #[error("{path}: {error}", path = path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        error: image::ImageError,
    },
    /// A network with this many input channels takes no image.
    #[error("an image has 1 or 3 channels, not {0}")]
    Channels(usize),
}

/// Reads a PNG as a u8 tensor `[channels, height, width]`; `channels` is 1 (grey) or 3 (RGB).
pub fn read_png(path: &Path, channels: usize) -> Result<Tensor, ImageError> {
    if channels != 1 && channels != 3 {
        return Err(ImageError::Channels(channels));
    }
    let (file, _length) = files::open_regular(path).map_err(|error| ImageError::Io {
        path: path.to_path_buf(),
        error,
    })?;
    let mut reader = ImageReader::with_format(BufReader::new(file), ImageFormat::Png);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODE_BYTES);
    reader.limits(limits);
    let image = reader.decode().map_err(|error| ImageError::Decode {
        path: path.to_path_buf(),
        error,
    })?;
    Ok(planes(&image, channels))
}

/// One plane per channel.
fn planes(image: &DynamicImage, channels: usize) -> Tensor {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let bytes = if channels == 1 {
        image.to_luma8().into_raw()
    } else {
        let pixels = image.to_rgb8().into_raw();
        (0..3)
            .flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied())
            .collect()
    };
    Tensor::new([channels, height, width], Data::U8(bytes)).expect("one byte per channel and pixel")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grey_png() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grey.png");
        image::GrayImage::from_raw(3, 2, vec![0, 50, 100, 150, 200, 255])
            .unwrap()
            .save(&path)
            .unwrap();
        (folder, path)
    }

    #[test]
    fn grey_and_color() {
        let (folder, path) = grey_png();
        let grey = read_png(&path, 1).unwrap();
        assert_eq!(
            grey,
            Tensor::new([1, 2, 3], Data::U8(vec![0, 50, 100, 150, 200, 255])).unwrap()
        );
        let three = read_png(&path, 3).unwrap();
        assert_eq!(three.data(), &Data::U8([0, 50, 100, 150, 200, 255].repeat(3)));
        let path = folder.path().join("rgb.png");
        image::RgbImage::from_raw(2, 1, vec![1, 2, 3, 255, 255, 255])
            .unwrap()
            .save(&path)
            .unwrap();
        assert_eq!(
            read_png(&path, 3).unwrap().data(),
            &Data::U8(vec![1, 255, 2, 255, 3, 255])
        );
        assert_eq!(read_png(&path, 1).unwrap().data(), &Data::U8(vec![2, 255]));
    }

    #[test]
    fn mistakes_are_named() {
        let (folder, path) = grey_png();
        assert_eq!(
            read_png(&path, 2).unwrap_err().to_string(),
            "an image has 1 or 3 channels, not 2"
        );
        assert!(matches!(
            read_png(&folder.path().join("no.png"), 1),
            Err(ImageError::Io { .. })
        ));
        let text = folder.path().join("text.png");
        std::fs::write(&text, "no image").unwrap();
        assert!(matches!(read_png(&text, 1), Err(ImageError::Decode { .. })));
    }

    #[test]
    fn claimed_sizes_are_limited() {
        let (_folder, path) = grey_png();
        let mut bytes = std::fs::read(&path).unwrap();
        // Width and height follow the signature and the first chunk's length and name; its checksum follows them.
        bytes[16..24].copy_from_slice(&[0x00, 0x10, 0, 0, 0x00, 0x10, 0, 0]);
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let error = read_png(&path, 1).unwrap_err();
        let ImageError::Decode {
            error: image::ImageError::Limits(_),
            ..
        } = error
        else {
            panic!("{error:?}")
        };
    }

    proptest! {
        #[test]
        fn mutated_images_never_panic(place in 0usize..200, value in any::<u8>(), cut in 0usize..200) {
            let (_folder, path) = grey_png();
            let mut bytes = std::fs::read(&path).unwrap();
            let place = place % bytes.len();
            bytes[place] = value;
            std::fs::write(&path, &bytes).unwrap();
            let _ = read_png(&path, 1);
            bytes.truncate(cut);
            std::fs::write(&path, &bytes).unwrap();
            let _ = read_png(&path, 3);
        }
    }
}
