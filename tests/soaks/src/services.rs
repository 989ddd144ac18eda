//! The services of a run, in the order of the clients' nodes.

use yima_harness::checker::{Clients, people};
use yima_harness::{Region, Yima};

/// All writers and read nodes.
pub(crate) struct Services {
    writers: Vec<(usize, Yima)>,
    readers: Vec<(usize, Yima)>,
    names: Vec<String>,
}

impl Services {
    /// Starts this many writers and read nodes of each region.
    pub(crate) fn start(regions: &[(&Region, usize, usize)]) -> Self {
        let each = |service: fn(&Region) -> Yima, counts: Vec<usize>| -> Vec<(usize, Yima)> {
            let numbered = regions.iter().zip(counts).enumerate();
            numbered.flat_map(|(n, ((region, ..), count))| (0..count).map(move |_| (n, service(region)))).collect()
        };
        Self {
            writers: each(|region| region.writer(&[]), regions.iter().map(|(_, writers, _)| *writers).collect()),
            readers: each(|region| region.reader(&[]), regions.iter().map(|(.., readers)| *readers).collect()),
            names: regions.iter().map(|(region, ..)| region.name.clone()).collect(),
        }
    }

    /// Clients whose people have no stored event.
    pub(crate) fn clients(&self, subjects: usize) -> Clients {
        let urls = |services: &[(usize, Yima)], url: fn(&Yima) -> String| {
            services.iter().map(|(region, service)| (*region, url(service))).collect()
        };
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        Clients::new(
            people(&self.readers[0].1, subjects),
            self.writers[0].1.agency_token("lab-7"),
            urls(&self.writers, Yima::writer_url),
            urls(&self.readers, Yima::read_url),
            &names,
        )
    }

    /// Number of services.
    pub(crate) fn count(&self) -> usize {
        self.writers.len() + self.readers.len()
    }

    /// A service by its number, writers first.
    pub(crate) fn get(&self, n: usize) -> &Yima {
        &self.writers.iter().chain(&self.readers).nth(n).expect("a number below the count").1
    }

    /// Kills and restarts a service, and gives the clients its new URL.
    pub(crate) fn restart(&mut self, n: usize, clients: &Clients) {
        let writers = self.writers.len();
        if n < writers {
            self.writers[n].1.restart();
            *clients.writers[n].1.write() = self.writers[n].1.writer_url();
        } else {
            self.readers[n - writers].1.restart();
            *clients.readers[n - writers].1.write() = self.readers[n - writers].1.read_url();
        }
    }
}
