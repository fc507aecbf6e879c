//! A colour for every class: always the same for the same class, and neighbours far apart.

/// The colour of the class with that number, R G B.
///
/// Hues advance by the golden angle, so that any few classes in a row are as different as can be; lightness alternates
/// in three steps. All are light and colourful enough to be seen on photographs by day and by night.
pub fn class_colour(class: usize) -> [u8; 3] {
    const GOLDEN_ANGLE: f32 = 137.507_77;
    let hue = (25.0 + (class % 360) as f32 * GOLDEN_ANGLE) % 360.0;
    let (lightness, chroma) = [(0.74, 0.17), (0.84, 0.15), (0.66, 0.19)][class % 3];
    oklch(lightness, chroma, hue)
}

/// Whether black or white text is easier to read on that colour.
pub(super) fn text_colour(background: [u8; 3]) -> [u8; 3] {
    let linear = |x: u8| (f32::from(x) / 255.0).powf(2.2);
    let [r, g, b] = background.map(linear);
    let luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    // The contrast ratios of WCAG: (lighter + 0.05) / (darker + 0.05).
    if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) { [16, 16, 16] } else { [255; 3] }
}

/// Oklch (Björn Ottosson's perceptual colour space) to sRGB; what lies outside is made greyer until it fits.
fn oklch(lightness: f32, chroma: f32, hue: f32) -> [u8; 3] {
    let (sin, cos) = hue.to_radians().sin_cos();
    let mut chroma = chroma;
    loop {
        let (a, b) = (chroma * cos, chroma * sin);
        let l = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
        let m = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
        let s = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
        let linear = [
            4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
            -1.268_438 * l + 2.609_757_4 * m - 0.341_319_4 * s,
            -0.004_196_086 * l - 0.703_418_6 * m + 1.707_614_7 * s,
        ];
        if chroma <= 0.0 || linear.iter().all(|x| (0.0..=1.0).contains(x)) {
            return linear.map(|x| (x.clamp(0.0, 1.0).powf(1.0 / 2.2) * 255.0).round() as u8);
        }
        chroma -= 0.005;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_classes_differ_clearly() {
        let colours: Vec<[u8; 3]> = (0..12).map(class_colour).collect();
        for (i, a) in colours.iter().enumerate() {
            for b in &colours[..i] {
                let distance: u32 = a.iter().zip(b).map(|(x, y)| u32::from(x.abs_diff(*y))).sum();
                assert!(distance > 40, "{a:?} and {b:?}");
            }
        }
        assert_eq!(class_colour(3), class_colour(3));
        class_colour(usize::MAX);
    }

    #[test]
    fn text_is_dark_on_light_and_light_on_dark() {
        assert_eq!(text_colour([250, 220, 40]), [16, 16, 16]);
        assert_eq!(text_colour([60, 20, 120]), [255; 3]);
    }
}
