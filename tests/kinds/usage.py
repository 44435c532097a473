"""The command line: usage, options, and the commands that run no program."""
import json

from . import common
from .programs import must, named_tests, program


def tests():
    yield from named_tests(globals())


def test_usage_nothing():
    return must(common.nndc(), 2, "usage:")


def test_usage_help():
    return must(common.nndc("--help"), 0, "usage:", "train", "predict", "exit status")


def test_usage_help_of_command():
    return must(common.nndc("train", "--help"), 0, "--resume", "--threads")


def test_usage_version():
    return must(common.nndc("--version"), 0, "nndc 0.")


def test_usage_unknown_command():
    return must(common.nndc("trian", "m.nnd"), 2, "trian", "did you mean `train`")


def test_usage_file_without_command():
    return must(common.nndc("m.nnd"), 2, "nndc train m.nnd")


def test_usage_unknown_option():
    result = common.nndc("train", "m.nnd", "--thread=2")
    return must(result, 2, "--thread", "did you mean --threads")


def test_usage_option_of_another_command():
    return must(common.nndc("check", "m.nnd", "--resume"), 2, "check has no option --resume")


def test_usage_bad_value():
    return must(common.nndc("train", "m.nnd", "--blas=mkl"), 2, "openblas|none", "mkl")


def test_usage_bad_number():
    return must(common.nndc("train", "m.nnd", "--threads", "two"), 2, "--threads", "two")


def test_usage_value_missing():
    return must(common.nndc("train", "m.nnd", "--seed"), 2, "--seed wants N")


def test_usage_file_missing():
    return must(common.nndc("train"), 2, "train wants FILE")


def test_usage_too_many():
    return must(common.nndc("check", "a.nnd", "b.nnd"), 2, "b.nnd")


def test_usage_set_without_value():
    return must(common.nndc("train", "m.nnd", "--set", "epochs"), 2, "NAME=VALUE")


def test_usage_set_unknown():
    return must(common.nndc("check", "m.nnd", "--set", "epoch=3", cwd=program()), 1, "epoch",
                "epochs")


def test_usage_only_unknown():
    return must(common.nndc("train", "m.nnd", "--only", "lines", cwd=program()), 1, "lines", "line")


def test_file_not_there():
    return must(common.nndc("check", "nowhere.nnd"), 1, "nowhere.nnd")


def test_file_is_folder():
    return must(common.nndc("check", "."), 1, ".")


# --- check, doc, ir --------------------------------------------------------------------------

def test_check_table():
    return must(common.nndc("check", "examples/mnist_mlp/model.nnd"), 0, "MLP", "669,706")


def test_check_json():
    result = common.nndc("check", "m.nnd", "--json", cwd=program())
    models = json.loads(result.out)["models"]
    return None if models[0]["parameters"] == 3 else result.text()


def test_doc_list():
    return must(common.nndc("doc"), 0, "dense", "cross_entropy", "adam", "built in")


def test_doc_one():
    return must(common.nndc("doc", "softmax"), 0, "fn softmax(x: [N])", "example:")


def test_doc_misspelt():
    return must(common.nndc("doc", "sotfmax"), 1, "sotfmax", "`softmax`")


def test_options():
    return must(common.nndc("options"), 0, "--threads N", "--blas openblas|none")


def test_passes():
    return must(common.nndc("passes"), 0, "lower", "plan")


def test_ir():
    return must(common.nndc("ir", "m.nnd", cwd=program()), 0, "sum[")


def test_ir_unknown_pass():
    return must(common.nndc("ir", "m.nnd", "--after", "plam", cwd=program()), 2, "plam", "`plan`")


def test_self_check():
    result = common.nndc("--self-check")
    return must(result, 0, " passed, 0 failed") or (result.text() if result.err else None)
