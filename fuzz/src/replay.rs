//! Runs every input of a corpus once, as the product is built, and measures: `replay TARGET FOLDER...`. A hostile message must be
//! refused in less than 100 ms and with at most 50 MiB more memory (issue 4), the C libraries' included.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use samlgate_fuzz::{MOST_MEMORY, Target};

const MOST_TIME: Duration = Duration::from_millis(100);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let target = Target::named(&arguments.next().expect("replay TARGET FOLDER..."));
    target.prepare();
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in arguments.map(PathBuf::from) {
        if folder.is_dir() {
            files.extend(std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path()));
        } else {
            files.push(folder);
        }
    }
    files.sort();
    // What is made once is not the first input's fault.
    target.run(b"");
    let first = files.first().map(|file| std::fs::read(file).expect("a file"));
    first.iter().for_each(|input| target.run(input));

    let (mut slowest, mut greediest, mut bad) = ((Duration::ZERO, PathBuf::new()), (0, PathBuf::new()), 0);
    for file in files {
        let input = std::fs::read(&file).expect("a file");
        // The best of three: the machine may be busy with something else.
        let mut took = Duration::MAX;
        for _ in 0..3 {
            let began = Instant::now();
            target.run(&input);
            took = took.min(began.elapsed());
            if took < MOST_TIME {
                break;
            }
        }
        let before = resident_peak_reset();
        let counted = target.memory(&input);
        let memory = counted.max(resident_peak().saturating_sub(before));
        if took > MOST_TIME || memory > MOST_MEMORY {
            bad += 1;
            println!("{}: {took:?}, {} KiB", file.display(), memory / 1024);
        }
        if took > slowest.0 {
            slowest = (took, file.clone());
        }
        if memory > greediest.0 {
            greediest = (memory, file);
        }
    }
    println!(
        "{}: slowest {:?} ({}), most memory {} KiB ({})",
        target.name,
        slowest.0,
        slowest.1.display(),
        greediest.0 / 1024,
        greediest.1.display()
    );
    if bad > 0 {
        println!("{bad} inputs cost more than {MOST_TIME:?} or {} MiB", MOST_MEMORY >> 20);
        std::process::exit(1);
    }
}

/// Forgets the process's highest use of memory, and says what is in use.
fn resident_peak_reset() -> usize {
    // Linux: the high-water mark starts again.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    resident_peak()
}

/// The highest use of memory since then, in octets.
fn resident_peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).unwrap_or_default() * 1024
}
