#!/usr/bin/env python3
"""Runs the ceph/s3-tests of a checkout against a fresh cluster of real processes.

    S3TESTS_DIR=~/s3-tests server/conformance/run.py [PYTEST ARGUMENT...]

prints what passed, failed and was skipped, by name, and compares it with expected.txt,
the list of tests that are expected to fail, each with its reason. A test that fails and
is not listed, and one that is listed and passes, are both a difference, and the exit
status is 1. With arguments (such as -k multipart) only the tests they choose are run.

NODES, DISKS and CONFORMANCE_PORT say what cluster; the clients' packages are installed
into a virtual environment under .build.
"""

import json
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / ".build" / "conformance"
EXPECTED = HERE / "expected.txt"

# What no store without a second one beside it, or an identity provider, can do.
DESELECTED = "not cloud_transition and not cloud_restore and not webidentity_test and not lifecycle_transition"
MODULES = ["test_s3.py", "test_headers.py", "test_iam.py", "test_sts.py"]

# The accounts that the tests want, by the sections of their configuration.
ACCOUNTS = {
    "s3 main": ("M. Tester", "tester@example.com"),
    "s3 alt": ("john.doe", "john.doe@example.com"),
    "s3 tenant": ("testx", "tenant@example.com"),
    "iam": ("s3", "s3@example.com"),
    "iam root": ("account1", "account1@example.com"),
    "iam alt root": ("account2", "account2@example.com"),
}


def fail(why):
    sys.exit(f"conformance: {why}")


def checkout():
    path = os.environ.get("S3TESTS_DIR", "")
    if not path:
        fail("S3TESTS_DIR must name a checkout of https://github.com/ceph/s3-tests")
    path = pathlib.Path(path).expanduser().resolve()
    if not (path / "s3tests" / "functional").is_dir():
        fail(f"{path} is no checkout of s3-tests: it has no s3tests/functional")
    return path


# Modules that the tests import, and Debian's packages of them and of what they need.
NEEDED = {
    "boto3": "python3-boto3", "yaml": "python3-yaml", "requests": "python3-requests",
    "pytest": "python3-pytest python3-pluggy python3-iniconfig python3-packaging python3-attr",
    "munch": "python3-munch", "isodate": "python3-isodate python3-six", "pytz": "python3-tz",
    "httplib2": "python3-httplib2 python3-pyparsing", "lxml": "python3-lxml",
}


def has(python, module):
    return subprocess.run([python, "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode == 0


def newest_boto3():
    """The interpreter of the path whose boto3 is the newest; else this one."""
    best, chosen = (), sys.executable
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        python = os.path.join(directory, "python3")
        if os.access(python, os.X_OK):
            out = subprocess.run([python, "-c", "import boto3; print(boto3.__version__)"], capture_output=True, text=True)
            version = tuple(int(n) for n in out.stdout.strip().split(".") if n.isdigit())
            if version > best:
                best, chosen = version, python
    return chosen


def python_of(tests):
    """An interpreter with what the tests need: of pip, or else of Debian's packages,
    unpacked where only it finds them."""
    home = BUILD / "venv"
    python = home / "bin" / "python"
    if all(python.exists() and has(python, m) for m in NEEDED):
        return python
    print("installing what the tests need", flush=True)
    subprocess.run([newest_boto3(), "-m", "venv", "--clear", "--system-site-packages", home], check=True)
    missing = [m for m in NEEDED if not has(python, m)]
    wanted = [p for p in (tests / "requirements.txt").read_text().splitlines() if p.strip() and not p.startswith(("#", "tox", "gevent"))]
    pip = [python, "-m", "pip", "install", "--quiet", "--retries", "0", "--disable-pip-version-check", *wanted]
    if missing and subprocess.run(pip, capture_output=True).returncode != 0:
        unpack_packages(home, python, missing)
    missing = [m for m in NEEDED if not has(python, m)]
    if missing:
        fail(f"these Python modules are missing and can be had neither of pip nor of apt-get: {', '.join(missing)}")
    return python


def unpack_packages(home, python, modules):
    packages = home / "debian"
    packages.mkdir()
    names = [name for m in modules for name in NEEDED[m].split()]
    try:
        subprocess.run(["apt-get", "download", "-qq", *names], cwd=packages, check=True)
        for deb in packages.glob("*.deb"):
            subprocess.run(["dpkg", "-x", deb, packages], check=True)
    except (OSError, subprocess.CalledProcessError):
        return
    site = subprocess.run([python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True, check=True)
    (pathlib.Path(site.stdout.strip()) / "debian.pth").write_text(str(packages / "usr/lib/python3/dist-packages") + "\n")


def write_secret(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
        f.write(text)


def make_keys(path):
    keys = {}
    for section, (name, email) in ACCOUNTS.items():
        keys[section] = {
            "access_key": "AK" + secrets.token_hex(9).upper(),
            "secret_key": secrets.token_urlsafe(30),
            "name": name,
            "email": email,
        }
    write_secret(path, json.dumps(list(keys.values())))
    return keys


def start_cluster(scratch, keys_file):
    ready = scratch / "ready.json"
    log = open(BUILD / "cluster.log", "w")
    process = subprocess.Popen(
        [ROOT / "bin" / "ironman", "cluster", "--dir", scratch / "cluster",
         "--nodes", os.environ.get("NODES", "3"), "--disks", os.environ.get("DISKS", "2"),
         "--port", os.environ.get("CONFORMANCE_PORT", "9700"), "--ready-file", ready,
         "--release-grace", "1m", "--", "--keys-file", keys_file],
        stdout=log, stderr=subprocess.STDOUT)
    while not ready.exists():
        if process.poll() is not None:
            fail(f"the cluster did not start: {(BUILD / 'cluster.log').read_text()[-2000:]}")
        time.sleep(0.1)
    return process, json.loads(ready.read_text())


def canonical_id(python, endpoint, key):
    """Asks as the account itself, as any client would learn it."""
    code = ("import boto3,sys,json;a=json.load(sys.stdin);"
            "print(boto3.client('s3',endpoint_url=a[0],region_name='us-east-1',aws_access_key_id=a[1],"
            "aws_secret_access_key=a[2]).list_buckets()['Owner']['ID'])")
    out = subprocess.run([python, "-c", code], input=json.dumps([endpoint, key["access_key"], key["secret_key"]]),
                         capture_output=True, text=True, check=True)
    return out.stdout.strip()


def write_configuration(path, python, endpoint, keys):
    host, port = endpoint.split("://")[1].split(":")
    lines = ["[DEFAULT]", f"host = {host}", f"port = {port}", "is_secure = False", "ssl_verify = False", "",
             "[fixtures]", "bucket prefix = ironman-{random}-", "iam name prefix = s3-tests-", "iam path prefix = /s3-tests/", ""]
    for section, key in keys.items():
        lines += [f"[{section}]", f"display_name = {key['name']}", f"email = {key['email']}",
                  f"user_id = {canonical_id(python, endpoint, key)}",
                  f"access_key = {key['access_key']}", f"secret_key = {key['secret_key']}"]
        if section == "s3 main":
            lines += ["api_name = us-east-1", "lc_debug_interval = 10"]
        if section == "s3 tenant":
            lines += ["tenant = testx"]
        lines += [""]
    write_secret(path, "\n".join(lines))


def run_tests(python, tests, configuration, arguments):
    """Runs them and returns {name: (outcome, first line of why)}."""
    report = BUILD / "report.xml"
    report.unlink(missing_ok=True)
    modules = [f"s3tests/functional/{m}" for m in MODULES if (tests / "s3tests" / "functional" / m).exists()]
    subprocess.run(
        [python, "-m", "pytest", "-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-m", DESELECTED,
         f"--junitxml={report}", *arguments, *modules],
        cwd=tests, env={**os.environ, "S3TEST_CONF": str(configuration), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=open(BUILD / "pytest.log", "w"), stderr=subprocess.STDOUT, check=False)
    if not report.exists():
        fail(f"pytest made no report: {(BUILD / 'pytest.log').read_text()[-2000:]}")
    return read_report(report)


def read_report(path):
    results = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("classname", "").split(".")[-1] + "::" + case.get("name", "")
        outcome, why = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, why = "failed", (child.get("message") or "").splitlines()[:1]
                why = why[0] if why else ""
            elif child.tag == "skipped" and outcome == "passed":
                outcome, why = "skipped", child.get("message") or ""
        if results.get(name, ("",))[0] != "failed":  # an error of the tear-down counts
            results[name] = (outcome, why)
    return results


def read_expected(text):
    """{name: reason} of lines "NAME  REASON"; # begins a comment."""
    expected = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, reason = line.partition(" ")
        if not reason.strip():
            fail(f"{EXPECTED.name}:{number}: {name} has no reason")
        if name in expected:
            fail(f"{EXPECTED.name}:{number}: {name} is there twice")
        expected[name] = reason.strip()
    return expected


def compare(results, expected, whole):
    """What differs from the list, as lines to print."""
    differences = []
    for name, (outcome, why) in sorted(results.items()):
        if outcome == "failed" and name not in expected:
            differences.append(f"fails, and is not expected to: {name}: {why[:200]}")
        if outcome == "passed" and name in expected:
            differences.append(f"passes, though it is expected to fail: {name}: {expected[name]}")
    if whole:
        for name in sorted(set(expected) - set(results)):
            differences.append(f"is expected to fail, but was not run: {name}")
    return differences


def show(results, expected):
    for outcome in ("passed", "skipped", "failed"):
        for name, (got, why) in sorted(results.items()):
            if got == outcome:
                print(f"{outcome:8} {name}" + (f"  ({expected.get(name, why[:120])})" if outcome != "passed" else ""))
    counts = {o: sum(1 for got, _ in results.values() if got == o) for o in ("passed", "failed", "skipped")}
    print("\n" + ", ".join(f"{n} {o}" for o, n in counts.items()))
    for module in MODULES:
        of = [got for name, (got, _) in results.items() if name.startswith(module.removesuffix(".py") + "::")]
        print(f"  {module:16} {of.count('passed')} passed, {of.count('failed')} failed, {of.count('skipped')} skipped")


def main(arguments):
    tests = checkout()
    BUILD.mkdir(parents=True, exist_ok=True)
    expected = read_expected(EXPECTED.read_text())
    python = python_of(tests)
    with tempfile.TemporaryDirectory(prefix="ironman-conformance-") as name:
        scratch = pathlib.Path(name)
        keys = make_keys(scratch / "keys.json")
        cluster, ready = start_cluster(scratch, scratch / "keys.json")
        try:
            configuration = scratch / "s3tests.conf"
            write_configuration(configuration, python, ready["endpoints"][0], keys)
            results = run_tests(python, tests, configuration, arguments)
        finally:
            cluster.send_signal(signal.SIGTERM)
            code = cluster.wait()
    if not results:
        fail("no test was run")
    show(results, expected)
    differences = compare(results, expected, whole=not arguments)
    if code != 0:
        differences.append(f"the cluster ended with exit code {code}")
    print("\n".join(["", *differences]) if differences else "\nas expected")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
