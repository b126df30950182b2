//! What came out.

pub struct Answer {
    pub process: usize,
    pub client: usize,
    pub kind: usize,
    pub took_us: u64,
}

pub struct Outcome {
    seconds: f64,
    by_process: Vec<u64>,
    by_client: Vec<u64>,
    /// Of each kind of client.
    took_us: Vec<Vec<u64>>,
    /// Connections that were given to another process.
    pub gives: u64,
    /// Looks that found that a request must wait.
    pub looks: u64,
}

impl Outcome {
    pub fn new(processes: usize, clients: usize, kinds: usize, seconds: f64) -> Outcome {
        Outcome {
            seconds,
            by_process: vec![0; processes],
            by_client: vec![0; clients],
            took_us: vec![Vec::new(); kinds],
            gives: 0,
            looks: 0,
        }
    }

    pub fn note(&mut self, answer: Answer) {
        self.by_process[answer.process] += 1;
        self.by_client[answer.client] += 1;
        self.took_us[answer.kind].push(answer.took_us);
    }

    /// Requests a second.
    pub fn throughput(&self, kind: usize) -> f64 {
        self.took_us[kind].len() as f64 / self.seconds
    }

    /// Milliseconds; without an answer as long as the whole run.
    pub fn percentile(&self, kind: usize, percent: usize) -> f64 {
        let mut sorted = self.took_us[kind].clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(at).map_or(self.seconds * 1e3, |&us| us as f64 / 1e3)
    }

    /// Jain's index over the processes: 1 is even, 1/N is all in one.
    pub fn jain(&self) -> f64 {
        let sum: u64 = self.by_process.iter().sum();
        let squares: u64 = self.by_process.iter().map(|count| count * count).sum();
        (sum * sum) as f64 / (self.by_process.len() as f64 * squares as f64)
    }

    /// The least served client over the most served.
    pub fn fairness(&self) -> f64 {
        let (least, most) = (self.by_client.iter().min(), self.by_client.iter().max());
        *least.unwrap() as f64 / *most.unwrap() as f64
    }
}
