"""Starts builds by forking, so that a test that kills many does not wait for imports.

    python build_forks.py PROMPTS OUTPUT URL CONCURRENCY

Each line on stdin starts one build and prints its process id; the next line waits for it and
prints its exit status, negative for a signal.
"""

from __future__ import annotations

import os
import sys
import traceback

from clairkit.generation import BuildSettings, ModelOptions, build_pairs


def build(prompts: str, output: str, url: str, concurrency: str) -> None:
    models = ModelOptions(base_url=url, concurrency=int(concurrency))
    settings = BuildSettings(models=models)
    build_pairs(prompts, reviser="openai:gpt", output=output, settings=settings)


def main() -> None:
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            try:
                build(*sys.argv[1:])
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(child, flush=True)  # noqa: T201 - for who started it
        sys.stdin.readline()
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - for who started it


if __name__ == "__main__":
    main()
