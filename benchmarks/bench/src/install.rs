//! Builds what is measured, from the registry that each language has, in pinned versions.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;
use crate::clients::Driver;

/// The Python package whose wheel carries the newest librdkafka that a registry has, as its makers
/// built it, with every codec.
const LIBRDKAFKA_WHEEL: &str = "confluent-kafka==2.16.1";

/// Where things are built.
#[derive(Debug)]
pub struct Workshop {
    /// The folder of this workspace.
    benchmarks: PathBuf,
    /// The target folder that this program was built in.
    target: PathBuf,
    profile: Profile,
}

/// How what is written in Rust is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// To be measured.
    Release,
    /// To see whether it works: it shares what tests have built.
    Dev,
}

impl Workshop {
    pub fn new(profile: Profile) -> Result<Self, Failure> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let benchmarks = here.parent().ok_or("this crate lies in no folder")?.to_owned();
        let program = std::env::current_exe()?;
        let target = program.ancestors().nth(2).ok_or("this program lies in no target folder")?;
        Ok(Self { benchmarks, target: target.to_owned(), profile })
    }

    /// The folder of this workspace.
    pub fn benchmarks(&self) -> &Path {
        &self.benchmarks
    }

    /// What is fetched and built besides Rust lies here, and so does the journal.
    pub fn tools(&self) -> PathBuf {
        self.target.join("bench")
    }

    /// Builds the null broker.
    pub fn nullbroker(&self) -> Result<PathBuf, Failure> {
        self.cargo("bench-nullbroker", "nullbroker")
    }

    /// Builds the reference broker.
    pub fn refbroker(&self) -> Result<PathBuf, Failure> {
        self.cargo("bench-refbroker", "refbroker")
    }

    /// Builds what makes topics on Apache Kafka.
    pub fn make_topic(&self) -> Result<PathBuf, Failure> {
        self.cargo("bench-ottla", "make-topic")
    }

    /// Builds what counts a client's heap.
    pub fn heap(&self) -> Result<PathBuf, Failure> {
        let folder = self.tools().join("heap");
        let (source, library) = (self.benchmarks.join("heap/heap.c"), folder.join("heap.so"));
        once(&folder, "", &[&source], || {
            run(Command::new("cc")
                .args(["-O2", "-shared", "-fPIC", "-o"])
                .args([&library, &source]))
        })?;
        Ok(library)
    }

    /// Builds a driver, and says how it is started.
    pub fn driver(&self, driver: Driver) -> Result<Vec<String>, Failure> {
        match driver {
            Driver::Librdkafka => self.librdkafka(),
            Driver::Java => self.java(),
            Driver::FranzGo => self.franz_go(),
            Driver::Ottla | Driver::Rdkafka | Driver::Krafka | Driver::Rskafka => {
                let name = driver.name();
                if !self.source(driver).join("Cargo.toml").exists() {
                    return Err(format!("drivers/{name} has no Cargo.toml yet").into());
                }
                let built = self.cargo(&format!("bench-{name}"), &format!("driver-{name}"))?;
                Ok(vec![text(&built)?])
            }
        }
    }

    fn source(&self, driver: Driver) -> PathBuf {
        self.benchmarks.join("drivers").join(driver.name())
    }

    fn cargo(&self, package: &str, binary: &str) -> Result<PathBuf, Failure> {
        let (profile, folder) = match self.profile {
            Profile::Release => ("release", "release"),
            Profile::Dev => ("dev", "debug"),
        };
        let mut command = cargo();
        command
            .args(["build", "--profile", profile, "--locked", "--package", package])
            .arg("--manifest-path")
            .arg(self.benchmarks.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&self.target);
        run(&mut command)?;
        Ok(self.target.join(folder).join(binary))
    }

    fn librdkafka(&self) -> Result<Vec<String>, Failure> {
        let folder = self.tools().join("librdkafka");
        let program = folder.join("driver");
        let sources = ["driver.h", "driver.c", "timed.c", "watched.c"]
            .map(|name| self.source(Driver::Librdkafka).join(name));
        let sources: Vec<&Path> = sources.iter().map(PathBuf::as_path).collect();
        once(&folder, LIBRDKAFKA_WHEEL, &sources, || {
            run(Command::new("python3")
                .args(["-m", "pip", "--disable-pip-version-check", "download", "--quiet"])
                .args(["--no-deps", "--only-binary", ":all:", "--dest"])
                .args([&folder, Path::new(LIBRDKAFKA_WHEEL)]))?;
            let wheel = only_file(&folder, "confluent_kafka-", ".whl")?;
            run(Command::new("python3").args(["-m", "zipfile", "-e"]).args([&wheel, &folder]))?;
            let libraries = folder.join("confluent_kafka.libs");
            let library = only_file(&libraries, "librdkafka-", "")?;
            run(Command::new("cc")
                .args(["-O2", "-I"])
                .arg(self.rdkafka_header()?)
                .arg("-o")
                .arg(&program)
                .args(&sources[1..])
                .args([&library, Path::new("-pthread")])
                .arg(format!("-Wl,-rpath,{}", text(&libraries)?)))
        })?;
        Ok(vec![text(&program)?])
    }

    /// The wheel has no header, but the crate that bundles librdkafka has; what the driver uses has
    /// been in it since long before both.
    fn rdkafka_header(&self) -> Result<PathBuf, Failure> {
        let mut command = cargo();
        command
            .args(["metadata", "--locked", "--format-version", "1", "--manifest-path"])
            .arg(self.benchmarks.join("Cargo.toml"));
        let output = command.stderr(Stdio::inherit()).output()?;
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let bundle = packages.iter().find(|package| package["name"] == "rdkafka-sys");
        let manifest = bundle.and_then(|package| package["manifest_path"].as_str());
        let folder = manifest.and_then(|manifest| Path::new(manifest).parent());
        Ok(folder.ok_or("rdkafka-sys is not among the dependencies")?.join("librdkafka/src"))
    }

    fn java(&self) -> Result<Vec<String>, Failure> {
        let folder = self.tools().join("java");
        let (jars, classes) = (folder.join("jars"), folder.join("classes"));
        let sources = self.source(Driver::Java);
        let pom = sources.join("pom.xml");
        let sources = ["Driver.java", "Timed.java", "Watched.java"].map(|name| sources.join(name));
        let every_jar = text(&jars.join("*"))?;
        let [driver, timed, watched] = &sources;
        once(&folder, "", &[&pom, driver, timed, watched], || {
            run(Command::new("mvn")
                .args(["--quiet", "--batch-mode", "-Dstyle.color=never", "--file"])
                .arg(&pom)
                .arg("dependency:copy-dependencies")
                .arg(format!("-DoutputDirectory={}", text(&jars)?)))?;
            run(Command::new("javac")
                .args(["-cp", &every_jar, "-d", &text(&classes)?])
                .args(&sources))
        })?;
        // The collector that Kafka's own scripts choose; on one core the JVM would choose another.
        let command = ["java", "-Xms512m", "-Xmx512m", "-XX:+UseG1GC", "-cp"].map(str::to_owned);
        let class_path = format!("{}:{every_jar}", text(&classes)?);
        Ok([command.as_slice(), &[class_path, "Driver".to_owned()]].concat())
    }

    fn franz_go(&self) -> Result<Vec<String>, Failure> {
        let folder = self.tools().join("franz-go");
        fs::create_dir_all(&folder)?;
        let program = text(&folder.join("driver"))?;
        // Go knows itself whether there is anything to do.
        run(Command::new("go")
            .args(["build", "-mod=readonly", "-o", &program, "."])
            .current_dir(self.source(Driver::FranzGo)))?;
        Ok(vec![program])
    }
}

pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Cargo tells what it runs about its package. Build scripts look at the same variables, and would
    // run again, with all that depends on them, whenever we are started in another way.
    for (name, _) in std::env::vars_os() {
        let about_us = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if name.to_str().is_some_and(|name| about_us.iter().any(|start| name.starts_with(start))) {
            command.env_remove(name);
        }
    }
    command
}

/// Builds, in an empty folder, unless what is there was built from the same version and sources.
fn once(
    folder: &Path,
    version: &str,
    sources: &[&Path],
    build: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut built_from = version.to_owned();
    for source in sources {
        built_from.push_str(&fs::read_to_string(source)?);
    }
    let stamp = folder.join("built-from");
    if fs::read_to_string(&stamp).is_ok_and(|before| before == built_from) {
        return Ok(());
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(folder)?,
    }
    build()?;
    Ok(fs::write(stamp, built_from)?)
}

/// Runs a tool. What it says goes to our standard error, because our output is the results.
pub fn run(command: &mut Command) -> Result<(), Failure> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("`{tool}` is not installed"),
        _ => format!("`{tool}`: {error}"),
    })?;
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{tool}` ended with {}", output.status).into())
}

fn only_file(folder: &Path, prefix: &str, suffix: &str) -> Result<PathBuf, Failure> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(prefix) && name.ends_with(suffix) {
            return Ok(path);
        }
    }
    Err(format!("there is no {prefix}…{suffix} in {}", folder.display()).into())
}

fn text(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_not_there_is_named() {
        let missing = run(&mut Command::new("no-such-compiler")).unwrap_err();
        assert_eq!(missing.to_string(), "`no-such-compiler` is not installed");
    }

    #[test]
    fn a_tool_that_fails_is_named_with_its_status() {
        let failed = run(&mut Command::new("false")).unwrap_err().to_string();
        assert!(failed.contains("`false`") && failed.contains('1'), "{failed}");
    }

    #[test]
    fn what_was_built_is_built_again_when_its_source_changes_or_its_build_failed() {
        let folder = std::env::temp_dir().join(format!("bench-once-{}", std::process::id()));
        let source = folder.with_extension("source");
        let mut builds = 0;
        let mut build = |version: &str, ok: bool| {
            let built = once(&folder, version, &[&source], || {
                builds += 1;
                if ok { Ok(()) } else { Err("broken".into()) }
            });
            (built.is_ok(), builds)
        };
        fs::write(&source, "one").unwrap();
        assert_eq!(build("1", false), (false, 1));
        assert_eq!(build("1", true), (true, 2));
        assert_eq!(build("1", true), (true, 2));
        assert_eq!(build("2", true), (true, 3));
        fs::write(&source, "two").unwrap();
        assert_eq!(build("2", true), (true, 4));
        fs::remove_dir_all(&folder).unwrap();
        fs::remove_file(&source).unwrap();
    }
}
