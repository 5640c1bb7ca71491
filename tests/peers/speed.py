"""Times netc and other engines in turns on the same weights and inputs, and prints README's table. See README.md here.

All compute in f32, on the same cores and number of threads. An engine lives in a process of its own, so none inherits
another's threads, and waits while others are measured. In each round every engine measures for some tenths of a second;
what the table shows is the median of its rounds' medians. Pooled calls would weigh a round by how fast it was, and with
whole rounds, one that a neighbor disturbed is one vote of several.

Outputs are compared with PyTorch's in f64, as |found - expected| / |expected| over the whole tensor: above the bound a
time is marked and not counted. Engines that compute in f32 were at 1e-7 to 2e-6; bf16 keeps eight bits, which is 4e-3 for each number.
"""
import argparse
import contextlib
import gzip
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import numpy as np

import cases
import export

BOUND = 1e-4
HERE = pathlib.Path(__file__).resolve().parent
# Engine -> (title, Python module).
PEERS = {
    "onnxruntime": ("ONNX Runtime", "onnxruntime"),
    "openvino": ("OpenVINO", "openvino"),
    "litert": ("LiteRT", "ai_edge_litert"),
    "torch": ("PyTorch", "torch"),
    "torch/channels_last": ("PyTorch, channels last", "torch"),
}
# What trains: PyTorch in two layouts.
TRAINERS = {"eager": "PyTorch", "channels_last": "PyTorch, channels last"}


def say(text):
    print(text, file=sys.stderr, flush=True)


class Peer:
    """An engine in its own process; nothing if it cannot be started."""

    def __init__(self, name, case, batch, threads, cores, folder):
        command = [sys.executable, HERE / "engine.py", name, case.name, str(batch), str(threads), cores, folder]
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.ready = self.line() == "ready"
        if not self.ready:
            self.errors.seek(0)
            say(f"  {name} failed: {self.errors.read().decode().strip().splitlines()[-1:]}")

    def line(self):
        for line in self.process.stdout:
            if line.startswith(("ready", "[")):
                return line.strip()

    def turn(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return statistics.median(json.loads(self.line()))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Netc:
    """netc's binary, started anew for each turn."""

    def __init__(self, netc, threads, cores):
        self.netc, self.threads = netc, threads
        self.cores = {int(core) for core in cores.split(",")}

    def call(self, *arguments):
        pin = lambda: os.sched_setaffinity(0, self.cores)
        command = [self.netc, *arguments, "--threads", str(self.threads)]
        return subprocess.run(command, check=True, capture_output=True, preexec_fn=pin).stdout

    def turn(self, *arguments, seconds):
        return json.loads(self.call("bench", *arguments, "--seconds", str(seconds), "--json"))["median_us"]


def in_turns(netc, peers, seconds, rounds):
    """The median of each engine's rounds; the order turns around from round to round."""
    turns = {"netc": netc} | {name: lambda peer=peer: peer.turn(seconds) for name, peer in peers.items()}
    times = {name: [] for name in turns}
    for round_ in range(rounds):
        for name in (list(turns) if round_ % 2 == 0 else reversed(turns)):
            times[name].append(turns[name]())
    return {name: statistics.median(values) for name, values in times.items()}


def difference(path, expected):
    found = np.load(path).astype(np.float64).reshape(expected.shape)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def tflite(files, batch, tensorflow):
    if files.tflite.exists() or not tensorflow:
        return
    command = [tensorflow, HERE / "to_tflite.py", files.layers, str(batch), files.tflite]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        say(f"  no conversion for LiteRT: {made.stderr.strip().splitlines()[-1:]}")


@contextlib.contextmanager
def started(engines, case, batch, threads, options):
    """Processes of those engines that can be started, by the same keys."""
    cores = options.cores(threads)
    peers = {key: Peer(engine, case, batch, threads, cores, options.folder) for key, engine in engines.items()}
    yield {key: peer for key, peer in peers.items() if peer.ready}
    for peer in peers.values():
        peer.close()


def inference(case, batch, threads, options):
    """Medians in microseconds, and by how much outputs differ that differ too much."""
    files = export.export(case, batch, options.folder, options.netc)
    if "litert" in options.engines:
        tflite(files, batch, options.tensorflow)
    netc = Netc(options.netc, threads, options.cores(threads))
    arguments = [case.source, *case.arguments, "--weights", files.weights, "--input", files.input]
    netc.call("run", *arguments, "--output", files.output("netc"))
    expected = np.load(files.expected)
    # Without rows and columns there is only one layout.
    engines = {name: name for name in options.engines if len(case.shape) == 3 or name != "torch/channels_last"}
    with started(engines, case, batch, threads, options) as peers:
        errors = {name: difference(files.output(name), expected) for name in ["netc", *peers]}
        medians = in_turns(lambda: netc.turn(*arguments, seconds=options.seconds), peers, options.seconds, options.rounds)
    say(f"  largest difference of an output: {max(errors.values()):.1e}")
    return medians, {name: error for name, error in errors.items() if not error <= BOUND}


def training(case, batch, threads, options):
    netc = Netc(options.netc, threads, options.cores(threads))
    turn = lambda: netc.turn(case.source, "--train", "--batch", str(batch), seconds=options.seconds)
    with started({name: f"train/{name}" for name in TRAINERS}, case, batch, threads, options) as peers:
        return in_turns(turn, peers, options.seconds, options.rounds)


def write_idx(path, array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(extent.to_bytes(4, "big") for extent in array.shape)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head + array.tobytes())


def synthetic_digits(folder, samples):
    """Noise under MNIST's names. netc wants test data as well; 64 of them cost nothing."""
    data = folder / "synthetic"
    if not data.exists():
        data.mkdir()
        random = np.random.default_rng(cases.SEED)
        for half, count in (("train", samples), ("t10k", 64)):
            write_idx(data / f"{half}-images-idx3-ubyte.gz", random.integers(0, 256, (count, 28, 28), dtype=np.uint8))
            write_idx(data / f"{half}-labels-idx1-ubyte.gz", random.integers(0, 10, count, dtype=np.uint8))
    return data


def epoch(threads, options):
    """One epoch from memory, shuffled, not augmented; everybody has one before it counts."""
    model, batch, samples = cases.EPOCH
    case, netc = cases.CASES[model], Netc(options.netc, threads, options.cores(threads))
    arguments = ["train", case.source, "--data", synthetic_digits(options.folder, samples), "--set", "augment=[]",
                 "--set", "epochs=1", "--set", f"batch={batch}", "--output", options.folder / "epoch.safetensors", "--json"]
    turn = lambda: json.loads(netc.call(*arguments))["seconds"] * 1e6
    with started({name: f"epoch/{name}" for name in TRAINERS}, case, batch, threads, options) as peers:
        in_turns(turn, peers, 0, 1)
        return in_turns(turn, peers, 0, max(1, options.rounds // 2))


def number(microseconds):
    if microseconds >= 1e6:
        return f"{microseconds / 1e6:.2f} s"
    return f"{microseconds:.1f}" if microseconds < 99.95 else f"{microseconds:,.0f}"


def row(head, titles, medians, differing):
    """Times, then the best peer's over netc's."""
    def cell(name):
        if name not in medians:
            return "-"
        return number(medians[name]) + (f" (differs by {differing[name]:.0e})" if name in differing else "")
    counted = {name: time for name, time in medians.items() if name not in differing}
    peers = [time for name, time in counted.items() if name != "netc"]
    ratio = f"{min(peers) / counted['netc']:.2f}" if peers and "netc" in counted else "-"
    return [*map(str, head), *(cell(name) for name in ["netc", *titles]), ratio]


def markdown(header, rows):
    aligned = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, aligned, *rows]) + "\n"


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines() if pathlib.Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def versions(engines):
    from importlib.metadata import version
    packages = {"onnxruntime": "onnxruntime", "openvino": "openvino", "litert": "ai-edge-litert"}
    found = [f"{PEERS[name][0]} {version(package)}" for name, package in packages.items() if name in engines]
    return ", ".join([*found, f"PyTorch {version('torch')}"])


def tables(options):
    yield f"{processor()}; {versions(options.engines)}. Microseconds; ratio: the best of the others over netc.\n"
    for threads in options.threads:
        title = f"{threads} thread" + ("s" if threads > 1 else "")
        if "inference" in options.what:
            yield inference_table(title, threads, options)
        if rows := list(training_rows(title, threads, options)):
            yield markdown([f"{title}: training", "batch", "netc", *TRAINERS.values(), "ratio"], rows)


def told(row):
    say("  " + " | ".join(row[2:]))
    return row


def inference_table(title, threads, options):
    titles, rows = {name: PEERS[name][0] for name in options.engines}, []
    for case in (cases.CASES[name] for name in options.models):
        for batch in options.batches or case.batches:
            say(f"{case.name}, batch {batch}, {title}")
            rows.append(told(row([case.name, batch], titles, *inference(case, batch, threads, options))))
    return markdown([f"{title}: model", "batch", "netc", *titles.values(), "ratio"], rows)


def training_rows(title, threads, options):
    for name, batch in cases.TRAINING.items():
        if "training" in options.what and name in options.models:
            say(f"training {name}, {title}")
            yield told(row([f"step of {name}", batch], TRAINERS, training(cases.CASES[name], batch, threads, options), {}))
    if "epoch" in options.what:
        model, batch, samples = cases.EPOCH
        say(f"an epoch, {title}")
        yield told(row([f"epoch of {samples:,}, {model}", batch], TRAINERS, epoch(threads, options), {}))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    several = lambda kind: lambda text: [kind(part) for part in text.split(",")]
    parser.add_argument("--what", type=several(str), default=["inference", "training", "epoch"], help="default: inference,training,epoch")
    parser.add_argument("--models", type=several(str), default=list(cases.CASES), help=f"default: {','.join(cases.CASES)}")
    parser.add_argument("--batches", type=several(int), help="default: 1,32, and 1,8 for AlexNet")
    parser.add_argument("--threads", type=several(int), default=[1, 2], help="default: 1,2")
    parser.add_argument("--engines", type=several(str), default=list(PEERS), help=f"beside netc; default: {','.join(PEERS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="that an engine measures in a round; default: 0.3")
    parser.add_argument("--netc", type=pathlib.Path, default=cases.ROOT / "target" / "release" / "netc")
    parser.add_argument("--tensorflow", help="a Python that has TensorFlow, to convert for LiteRT")
    parser.add_argument("--folder", type=pathlib.Path, help="for exported networks, kept for the next time; default: a temporary one")
    parser.add_argument("--out", type=pathlib.Path, help="where the tables go, beside the screen")
    options = parser.parse_args()
    for given, known in ((options.models, cases.CASES), (options.engines, PEERS), (options.what, parser.get_default("what"))):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    missing = [name for name in options.engines if not importlib.util.find_spec(PEERS[name][1])]
    if missing:
        say(f"left out, since they are not installed: {', '.join(missing)}")
    options.engines = [name for name in options.engines if name not in missing]
    available = sorted(os.sched_getaffinity(0))
    options.cores = lambda threads: ",".join(map(str, available[-threads:]))
    return options


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        options.folder = options.folder or pathlib.Path(folder)
        options.folder.mkdir(parents=True, exist_ok=True)
        text = []
        for table in tables(options):
            text.append(table)
            print(table, flush=True)
            if options.out:
                options.out.write_text("\n".join(text))


if __name__ == "__main__":
    main()
