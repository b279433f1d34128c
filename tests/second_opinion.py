"""cvc5's answers to questions in SMT-LIB, in a process of its own: its time limit does not hold everywhere."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence

PATIENCE = 3.0  # seconds without an answer, after which a question is left


def answers(questions: Sequence[str]) -> list[str]:
    """sat, unsat or unknown for each question."""
    found: list[str] = []
    while len(found) < len(questions):
        found += _until_stuck(questions[len(found) :])
    return found


def _until_stuck(questions: Sequence[str]) -> Iterator[str]:
    """Answers up to the first question that takes too long, which is unknown."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(questions))
        process.stdin.close()
        assert process.stdout.readline().strip() == "ready"
        for _ in questions:
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
            if not ready:
                process.kill()
                yield "unknown"
                return
            yield process.stdout.readline().strip()


def main() -> None:
    import cvc5

    print("ready", flush=True)  # noqa: T201
    for question in json.load(sys.stdin):
        solver = cvc5.Solver()
        solver.setLogic("QF_NRA")
        parser = cvc5.InputParser(solver)
        parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, question, "question")
        said = ""
        while not (command := parser.nextCommand()).isNull():
            said += str(command.invoke(solver, parser.getSymbolManager()))
        print(said.strip(), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
