"""Another kernel in a folder where the first cells of all edits ran: does them again, then the changes.

Prints a line of JSON for each edit: what is wrong, if anything.
"""

import json
import sys

from code_edits import EDITS, notebook_of, wrong_after, wrong_before

from nbgraph import Studio


def main(folder: str) -> None:
    with Studio(folder) as studio, Studio() as fresh:
        for number, edit in enumerate(EDITS):
            notebook = notebook_of(number)
            problems = wrong_before(studio, notebook)
            notebook.run(edit.change)
            problems += wrong_after(studio, fresh, notebook, edit)
            notebook.close()
            print(json.dumps([edit.name, problems]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
