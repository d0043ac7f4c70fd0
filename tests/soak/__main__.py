"""`python3 -m tests.soak NUMBER` prints the spec of that number, for who looks at a failure."""

import sys

from tests.soak.test_specs import spec

sys.stdout.buffer.write(spec(int(sys.argv[1])))
