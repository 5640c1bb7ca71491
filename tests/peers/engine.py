"""One engine in a process of its own: `python engine.py ENGINE CASE BATCH THREADS CORES FOLDER`.

It loads the network, writes its output beside the input, and says `ready`. Then each line on its input is a number of
seconds to measure; it answers with the microseconds of single calls, timed one by one, as a list in JSON. Between turns
it waits, and its threads with it. The engines that train time whole steps, `epoch` one pass over synthetic data.
"""
import json
import os
import pathlib
import sys
import time

FEWEST, MOST = 5, 20_000
WARM_UP_SECONDS = 0.1


def onnxruntime(files, threads):
    import numpy as np
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(files.onnx, options, providers=["CPUExecutionProvider"])
    x = np.load(files.input)
    y = session.run(None, {"x": x})[0]
    # Bound memory: faster on small networks than `run`, which makes arrays for each call.
    binding, result = session.io_binding(), ort.OrtValue.ortvalue_from_numpy(y)
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(x))
    binding.bind_ortvalue_output("y", result)
    return lambda: session.run_with_iobinding(binding), result.numpy


def openvino(files, threads):
    import numpy as np
    import openvino as ov
    core = ov.Core()
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(core.read_model(files.onnx), "CPU", settings).create_infer_request()
    request.set_input_tensor(ov.Tensor(np.load(files.input)))
    return request.infer, lambda: request.get_output_tensor().data


def litert(files, threads):
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=str(files.tflite), num_threads=threads)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    x = np.ascontiguousarray(np.moveaxis(np.load(files.input), 1, -1))
    interpreter.set_tensor(source["index"], x.reshape(source["shape"]))

    def output():
        y = interpreter.get_tensor(target["index"])
        return np.moveaxis(y, -1, 1) if y.ndim == 4 else y
    return interpreter.invoke, output


def torch_inference(case, files, threads, channels_last):
    import numpy as np
    import torch
    torch.set_num_threads(threads)
    network, x = case.network(), torch.from_numpy(np.load(files.input))
    if channels_last and x.dim() == 4:
        network, x = network.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)

    def call():
        with torch.inference_mode():
            return network(x)
    return call, lambda: call().numpy()


def trained(case):
    """The network, its loss, and its optimizer: what the recipe in the model's file says."""
    import compare
    import torch
    network = case.network()
    if case.model == "alexnet":
        network = torch.nn.Sequential(*network[:-5], torch.nn.Dropout(0.5), *network[-5:-3], torch.nn.Dropout(0.5), *network[-3:])
    smoothing = 0.0 if case.model == "alexnet" else 0.1
    loss = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
    # `fused` passes over alexnet's 61 million parameters once instead of several times; the small networks hardly notice.
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4, fused=True)
    return network.train(), loss, optimizer


def torch_training(case, batch, threads, channels_last):
    import torch
    torch.set_num_threads(threads)
    network, loss, optimizer = trained(case)
    x, labels = torch.rand(batch, *case.shape), torch.zeros(batch, dtype=torch.long)
    if channels_last:
        network, x = network.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(network(x), labels).backward()
        optimizer.step()
    return step, None


def torch_epoch(case, batch, threads, channels_last, samples):
    """Shuffled, from memory."""
    import torch
    torch.set_num_threads(threads)
    network, loss, optimizer = trained(case)
    x, labels = torch.rand(samples, *case.shape), torch.randint(0, 10, (samples,))
    if channels_last:
        network, x = network.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)

    def epoch():
        for chosen in torch.randperm(samples).split(batch):
            optimizer.zero_grad(set_to_none=True)
            loss(network(x[chosen]), labels[chosen]).backward()
            optimizer.step()
    return epoch, None


def engine(name, case, batch, threads, files):
    """A call, and what gives its output, if that is compared."""
    import cases
    peers = {"onnxruntime": onnxruntime, "openvino": openvino, "litert": litert}
    if name in peers:
        return peers[name](files, threads)
    what, _, layout = name.partition("/")
    channels_last = layout == "channels_last"
    if what == "torch":
        return torch_inference(case, files, threads, channels_last)
    if what == "train":
        return torch_training(case, batch, threads, channels_last)
    assert what == "epoch", name
    return torch_epoch(case, batch, threads, channels_last, cases.EPOCH[2])


def measure(call, seconds):
    """Single calls for so many seconds after a warm-up; with 0 seconds, one call and nothing before it."""
    clock, times = time.perf_counter, []
    start = clock()
    while clock() - start < min(WARM_UP_SECONDS, seconds):
        call()
    start, fewest = clock(), FEWEST if seconds else 1
    while len(times) < fewest or (clock() - start < seconds and len(times) < MOST):
        before = clock()
        call()
        times.append((clock() - before) * 1e6)
    return times


def main():
    name, case, batch, threads, cores, folder = sys.argv[1:]
    os.environ["OMP_NUM_THREADS"] = threads
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    import cases
    case, batch, threads = cases.CASES[case], int(batch), int(threads)
    files = cases.Files(pathlib.Path(folder), case, batch)
    call, output = engine(name, case, batch, threads, files)
    if output:
        import numpy as np
        call()
        np.save(files.output(name), output())
    # What the engines print themselves goes elsewhere.
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(call, float(line))), flush=True)


if __name__ == "__main__":
    main()
