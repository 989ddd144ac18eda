//! The samples of a scrape of this process' own metrics, by name.

/// The samples of one scrape, in the exporter's text format.
pub struct Samples<'t>(Vec<Sample<'t>>);

struct Sample<'t> {
    name: &'t str,
    /// The value of the first label, or nothing.
    label: &'t str,
    value: f64,
}

impl<'t> Samples<'t> {
    /// Reads the lines that are samples. Values of labels have neither quotes nor spaces in them: they come from small
    /// sets of names.
    pub fn parse(text: &'t str) -> Self {
        let sample = |line: &'t str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let label = labels.split('"').nth(1).unwrap_or_default();
            Some(Sample { name, label, value: value.parse().ok()? })
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The samples of a metric, each with the value of its first label.
    pub fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'t str, f64)> + 'a {
        self.0.iter().filter(move |sample| sample.name == name).map(|sample| (sample.label, sample.value))
    }

    /// The sample of a metric without labels.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.of(name).next().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_their_whole_name() {
        let text = "# HELP level x\n# TYPE level gauge\nlevel 3\nlevel_by_hand 1\n\
                    cache_region_lag_seconds{region=\"b\"} +Inf\ncache_region_lag_seconds{region=\"c\"} 0.5\nbroken\n";
        let samples = Samples::parse(text);
        assert_eq!((samples.value("level"), samples.value("lev")), (Some(3.0), None));
        let lags: Vec<_> = samples.of("cache_region_lag_seconds").collect();
        assert_eq!(lags, [("b", f64::INFINITY), ("c", 0.5)]);
    }
}
