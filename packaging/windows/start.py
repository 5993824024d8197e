"""Where the frozen agent starts. The agent starts processes of its own as `python -P -m MODULE ...`; a frozen program is its own interpreter, so that it
answers to this too, for modules of the project alone.
"""

import sys

from tillwatch.agent.__main__ import main

if __name__ == "__main__":
    given = [argument for number, argument in enumerate(sys.argv[1:]) if (number, argument) != (0, "-P")]
    if given[:1] == ["-m"] and given[1:2] and given[1].startswith("tillwatch."):
        import runpy

        sys.argv = given[1:]
        runpy.run_module(given[1], run_name="__main__", alter_sys=True)
    else:
        sys.exit(main())
