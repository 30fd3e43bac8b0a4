"""Run a sweep: each trial a process of its own, side by side on the devices, resumed by name."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from clairkit.errors import ClairError, DataError, RemoteError, ResourceError, UsageError
from clairkit.evaluation.folder import EVAL
from clairkit.records.lock import FileLock
from clairkit.records.output import LOCK, atomic_write, check_folder
from clairkit.sweep.board import Board, Job
from clairkit.sweep.measure import evaluate_words, measured, share_answers
from clairkit.sweep.process import Ended, Processes
from clairkit.sweep.result import SweepResult, make_result, write_result
from clairkit.sweep.sources import SourceFacts, prepare_sources, without_columns
from clairkit.sweep.spec import SweepSpec, Trial
from clairkit.sweep.study import Study

SPEC, STORAGE, TRIALS = "sweep.yaml", "sweep.db", "trials"
_CONFIG, _RUN, _EVAL, _LOG, _BASE = "config.yaml", "run", "eval", "log.txt", "base"
_REMOTE = 6

Say = Callable[[str], None]


@dataclass
class _Sweep:
    """What the lanes share."""

    spec: SweepSpec
    folder: Path
    files: Mapping[str, str]
    board: Board
    processes: Processes
    say: Say
    signal: int | None = None
    error: ClairError | None = None
    faults: list[BaseException] = field(default_factory=list)

    def stop(self, number: int) -> None:
        """Begin nothing more; what runs is drained."""
        self.signal = self.signal or number
        self.board.close()
        self.processes.stop(number)


def run_sweep(
    spec: SweepSpec,
    folder: Path,
    *,
    devices: Sequence[str] = ("cpu",),
    storage: str | None = None,
    resume: bool = False,
    retry: bool = False,
    processes: Processes | None = None,
    say: Say = lambda text: None,
) -> SweepResult:
    """Run what is left of a sweep, and return its table and choice.

    Args:
        spec: what is tried.
        folder: of the sweep.
        devices: GPUs by index, or `cpu`; a trial at a time runs on each.
        storage: URL of a database that machines share; None: a file in the folder.
        resume: go on in a folder that holds this sweep.
        retry: run trials that died once more.
        processes: runs the commands.
        say: gets a line at each trial.

    Raises:
        UsageError: the folder holds another sweep, or a setting is no train configuration.
        DataError: pairs or the metric can't be read.
        RemoteError: a model that is asked, or a judge, can't be reached.
        ResourceError: the disk or the storage is unavailable.
    """
    check_settings(spec)
    _check_folder(spec, folder, resume=resume)
    lock = folder.with_name(f".{folder.name}{LOCK}")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock, folder):
        (folder / TRIALS).mkdir(parents=True, exist_ok=True)
        facts = prepare_sources(spec, folder)
        with atomic_write(folder / SPEC) as file:
            file.write(_held(spec).encode())
        owner = f"{socket.gethostname()}:{folder.resolve()}"
        url = storage or f"sqlite:///{(folder / STORAGE).resolve()}"
        study = Study(spec, url, owner)
        study.plan(list(spec.trials))
        study.adopt()
        if retry:
            study.retry(list(spec.trials))
        files = {name: each.file for name, each in facts.items()}
        board = Board(spec, study, len(devices), say)
        sweep = _Sweep(spec, folder, files, board, processes or Processes(), say)
        _work(sweep, devices)
        return _ended(sweep, study, facts)


def check_settings(spec: SweepSpec) -> None:
    """Refuse what can be told of all settings before the first of them is trained.

    Raises:
        UsageError: a setting is no train configuration; with the setting.
        DataError: its pairs can't be read.
    """
    from clairkit.training.config_sources import resolve
    from clairkit.training.quick_checks import check_quickly

    seen: set[str] = set()
    for setting in spec.settings:
        trial = Trial(setting, spec.seeds[0])
        values = {**spec.config(trial, spec.pairs), "output": "run"}
        try:
            if setting.pairs not in seen:
                check_quickly(values, (), None)
            resolve(values)
        except (UsageError, DataError) as error:
            problem = f"{spec.path}: the setting {setting.label}: {error.problem}"
            raise UsageError(problem, received=error.received, remedy=error.remedy) from error
        seen.add(setting.pairs)


def _check_folder(spec: SweepSpec, folder: Path, *, resume: bool) -> None:
    if (folder / SPEC).exists():
        if not resume:
            remedy = "go on with --resume, or name another folder"
            raise UsageError("the folder holds a sweep", received=str(folder), remedy=remedy)
        if (folder / SPEC).read_text(encoding="utf-8") != _held(spec):
            raise UsageError(
                f"{folder} was begun with another {spec.path}, or with another metric",
                remedy="put it back, or begin anew in another folder; only budget may change",
            )
        return
    check_folder(folder, "sweep", force=resume, remedy="name another folder")


def _held(spec: SweepSpec) -> str:
    """Return what a folder keeps of its sweep: what must stay the same, by digest."""
    text = Path(spec.path).read_text(encoding="utf-8")
    kept = yaml.safe_load(text)
    kept.pop("budget", None)
    body = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
    return f"# clairkit sweep {spec.digest}\n{body}"


def _work(sweep: _Sweep, devices: Sequence[str]) -> None:
    """Run all jobs, one at a time on each device, until none is left or a signal came."""
    with _draining(sweep):
        _measure_base(sweep, device_variables(devices)[0])
        lanes = [
            threading.Thread(target=_lane, args=(sweep, each), daemon=True)
            for each in device_variables(devices)
        ]
        if not sweep.signal:
            for lane in lanes:
                lane.start()
            while any(lane.is_alive() for lane in lanes):
                for lane in lanes:
                    lane.join(0.1)


def device_variables(devices: Sequence[str]) -> list[dict[str, str]]:
    """Return the variables that give each trial its device: a GPU, or a share of the cores."""
    cores = max(1, (os.cpu_count() or 1) // len(devices))
    threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(cores)}
    return [{"CUDA_VISIBLE_DEVICES": "" if each == "cpu" else each, **threads} for each in devices]


class _draining:
    """Takes over both signals in the main thread: the first drains, a second one leaves."""

    def __init__(self, sweep: _Sweep) -> None:
        self._sweep = sweep
        self._earlier: dict[int, object] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._earlier[number] = signal.signal(number, self._note)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as it was given

    def _note(self, number: int, _frame: object) -> None:
        if self._sweep.signal is None:
            self._sweep.say(
                "Stopping: trials under way write a checkpoint. Once more to leave at once."
            )
            self._sweep.stop(number)
        else:
            self._sweep.processes.stop(signal.SIGKILL)
            raise KeyboardInterrupt


def _lane(sweep: _Sweep, device: Mapping[str, str]) -> None:
    try:
        while job := sweep.board.next():
            _do(sweep, job, device)
    except BaseException as fault:  # of the storage or the disk: the others drain
        sweep.faults.append(fault)
        sweep.stop(signal.SIGTERM)


def _do(sweep: _Sweep, job: Job, device: Mapping[str, str]) -> None:
    """Train and measure one trial up to a rung, and keep what came of it."""
    place = sweep.folder / TRIALS / job.trial.name
    place.mkdir(exist_ok=True)
    trained = _train(sweep, job, place, device)
    steps = trained.result.get("steps")
    if trained.kind != "done":
        _record_failure(sweep, job, trained, "training")
        return
    model = place / _RUN if job.share == 1.0 else place / _RUN / f"checkpoint-{steps}"
    output = place / (_EVAL if job.share == 1.0 else f"{_EVAL}-{job.share:g}")
    share_answers(sweep.folder / _BASE, output)
    words = evaluate_words(sweep.spec, str(model), output)
    ended = sweep.processes.run(words, place / _LOG, device)
    if ended.code == _REMOTE:
        sweep.error = RemoteError(f"{job.trial.name} could not be measured: {ended.reason}")
        sweep.stop(signal.SIGTERM)
    if ended.kind != "done":
        _record_failure(sweep, job, ended, "measuring")
        return
    found = {**measured(output), "steps": steps, "seconds": trained.seconds + ended.seconds}
    base = measured_base(sweep.folder)
    found["usd"] = max(0.0, found["usd"] - base)
    sweep.board.done(job, found)
    if job.share == 1.0:
        for folder in (place / _RUN).glob("checkpoint-*"):
            shutil.rmtree(folder, ignore_errors=True)


def _train(sweep: _Sweep, job: Job, place: Path, device: Mapping[str, str]) -> Ended:
    values = sweep.spec.config(job.trial, sweep.files)
    if sweep.spec.equal != "none":
        values = without_columns(values)
    config, run = place / _CONFIG, place / _RUN
    with atomic_write(config) as file:
        file.write(yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode())
    words = ["train", "--config", str(config), "-o", str(run)]
    words += ["--stop-at", f"{job.share:g}"] if job.share < 1 else []
    has_checkpoint = any(run.glob("checkpoint-*")) or any(run.glob(".partial/checkpoint-*"))
    if has_checkpoint:
        ended = sweep.processes.run([*words, "--resume"], place / _LOG, device)
        if "nothing to resume" not in ended.reason:
            return ended
    return sweep.processes.run([*words, "--force"], place / _LOG, device)


def _record_failure(sweep: _Sweep, job: Job, ended: Ended, stage: str) -> None:
    if ended.kind == "stopped" or sweep.error is not None:
        sweep.board.leave(job)
        return
    failure = {"kind": ended.kind, "stage": stage, "reason": ended.reason[:500]}
    sweep.board.failed(job, {**failure, "seconds": ended.seconds})


def _measure_base(sweep: _Sweep, device: Mapping[str, str]) -> None:
    """Ask the base once; the answers are where each trial's evaluation begins.

    Raises:
        ClairError: as `evaluate` said: the metric, the prompts or a guard is wrong.
    """
    output = sweep.folder / _BASE
    if (output / EVAL).exists():
        return
    sweep.say("Asking the base model, once for all trials")
    words = evaluate_words(sweep.spec, str(sweep.spec.base["model"]), output)
    ended = sweep.processes.run(words, sweep.folder / _LOG, device)
    if ended.kind in ("done", "stopped"):
        return
    kinds = {2: UsageError, 3: DataError, _REMOTE: RemoteError}
    error = kinds.get(ended.code, ResourceError)
    raise error(f"the base can't be measured by {sweep.spec.metric}: {ended.reason}")


def measured_base(folder: Path) -> float:
    """Return what asking the base cost, in US$."""
    return float(measured(folder / _BASE)["usd"])


def _ended(sweep: _Sweep, study: Study, facts: Mapping[str, SourceFacts]) -> SweepResult:
    """Return the result, or raise what ended the sweep."""
    for fault in sweep.faults:
        raise fault
    result = make_result(sweep.spec, study.standings(), facts, sweep.folder)
    write_result(result, sweep.folder)
    if sweep.error is not None:
        raise sweep.error
    return result.with_end(sweep.signal, sweep.board.over_budget)
