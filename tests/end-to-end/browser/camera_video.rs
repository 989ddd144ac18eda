//! The input of Chromium's fake camera: a video of phones that show codes, written frame by frame as YUV4MPEG2.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use fast_qr::{ECL, QRBuilder, QRCode};
use tempfile::TempDir;

/// The resolution that the page requests from a camera.
const WIDTH: u16 = 1280;
const HEIGHT: u16 = 720;
const FRAMES_A_SECOND: u32 = 5;
/// Luma of a code's black and white: the whole range that YUV4MPEG2 has.
const FULL: (u8, u8) = (16, 235);
/// Luma around the phone.
const BACKGROUND: u8 = 110;
/// Width of the light border around a code, in modules.
const QUIET: f32 = 4.0;
/// Each pixel is the mean of this many points across and down.
const POINTS: u8 = 3;

/// A phone before the camera.
pub struct Scene {
    code: Option<QRCode>,
    turn: f32,
    size: f32,
    light: (u8, u8),
    background: u8,
}

impl Scene {
    /// A code as the citizen's page shows it: upright, 80 % of the picture's height.
    pub fn of(code: &str) -> Self {
        let code = QRBuilder::new(code).ecl(ECL::L).build().expect("a code fits into a QR code");
        Self { code: Some(code), turn: 0.0, size: 0.8, light: FULL, background: BACKGROUND }
    }

    /// No phone.
    pub fn empty() -> Self {
        Self { code: None, turn: 0.0, size: 0.8, light: FULL, background: BACKGROUND }
    }

    /// Rotates the code.
    pub fn turned(mut self, degrees: f32) -> Self {
        self.turn = degrees;
        self
    }

    /// Sets the code's share of the picture's height, its light border included.
    pub fn sized(mut self, share: f32) -> Self {
        self.size = share;
        self
    }

    /// Sets the luma of black and white.
    pub fn lit(mut self, black: u8, white: u8) -> Self {
        self.light = (black, white);
        self
    }

    /// Sets the luma of the background.
    pub fn background(mut self, luma: u8) -> Self {
        self.background = luma;
        self
    }

    fn draw(&self) -> Vec<u8> {
        let (sin, cos) = self.turn.to_radians().sin_cos();
        let Some(code) = &self.code else {
            return vec![self.background; usize::from(WIDTH) * usize::from(HEIGHT)];
        };
        let modules = f32::from(u16::try_from(code.size).expect("at most 177"));
        let modules_a_pixel = (modules + 2.0 * QUIET) / (self.size * f32::from(HEIGHT));
        let at = |x: f32, y: f32| {
            let (x, y) =
                ((x - f32::from(WIDTH) / 2.0) * modules_a_pixel, (y - f32::from(HEIGHT) / 2.0) * modules_a_pixel);
            let (column, row) = (cos * x + sin * y + modules / 2.0, cos * y - sin * x + modules / 2.0);
            let inside = |n: f32, margin: f32| (-margin..modules + margin).contains(&n);
            if inside(column, 0.0) && inside(row, 0.0) {
                let dark = code[row as usize][column as usize].value();
                if dark { self.light.0 } else { self.light.1 }
            } else if inside(column, QUIET) && inside(row, QUIET) {
                self.light.1
            } else {
                self.background.min(self.light.1)
            }
        };
        let points = u32::from(POINTS) * u32::from(POINTS);
        let within = |n: u8| (f32::from(n) + 0.5) / f32::from(POINTS);
        let pixel = |x: u16, y: u16| {
            let sum: u32 = (0..POINTS)
                .flat_map(|i| (0..POINTS).map(move |j| (i, j)))
                .map(|(i, j)| u32::from(at(f32::from(x) + within(i), f32::from(y) + within(j))))
                .sum();
            u8::try_from(sum / points).expect("a mean of bytes")
        };
        (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect()
    }
}

/// A video of 5 frames a second; its file is deleted on drop.
pub struct CameraVideo {
    directory: TempDir,
}

impl CameraVideo {
    /// The scenes one after another, each for its number of frames. Chromium plays them in a loop.
    pub fn of(scenes: &[(Scene, u32)]) -> Self {
        let video = Self { directory: TempDir::new().expect("a temporary directory") };
        write(&video.path(), scenes).expect("the temporary directory can be written");
        video
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("camera.y4m")
    }

    /// Chromium's arguments to play the video as its camera, without asking for permission.
    pub fn arguments(&self) -> Vec<String> {
        vec![
            "--use-fake-device-for-media-stream".to_owned(),
            "--use-fake-ui-for-media-stream".to_owned(),
            format!("--use-file-for-fake-video-capture={}", self.path().display()),
        ]
    }
}

fn write(path: &Path, scenes: &[(Scene, u32)]) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FRAMES_A_SECOND}:1 Ip A1:1")?;
    let grey = vec![128; usize::from(WIDTH) * usize::from(HEIGHT) / 2];
    for (scene, frames) in scenes {
        let luma = scene.draw();
        for _ in 0..*frames {
            file.write_all(b"FRAME\n")?;
            file.write_all(&luma)?;
            file.write_all(&grey)?;
        }
    }
    file.flush()
}
