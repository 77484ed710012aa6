"""Shared by the Colmena payloads: a thinker whose results decide what is computed next, and the queues to its server.

The search minimises ``(number - target)**2``. It begins with a few numbers; a result that is the best so far is
followed by the number two above it. A negative number cannot be computed.
"""

import json
import time

from colmena.queue import PipeQueues
from colmena.thinker import BaseThinker, agent, result_processor

STARTED = time.monotonic()


class Search(BaseThinker):
    """Requests numbers, and records every result with the number that it followed from."""

    def __init__(self, queues, numbers):
        super().__init__(queues)
        self.numbers, self.results, self.best, self.open = numbers, [], None, len(numbers)

    @agent(startup=True)
    def begin(self):
        for number in self.numbers:
            self.request(number, after=None)

    def request(self, number, after):
        self.queues.send_inputs(number, method="distance", task_info={"number": number, "after": after})

    @result_processor
    def decide(self, result):
        number, value = result.task_info["number"], result.value if result.success else {}
        failure = result.failure_info.exception if result.failure_info else None
        self.results.append({**result.task_info, "success": result.success, "failure": failure, **(value or {})})
        if result.success and (self.best is None or value["distance"] < self.best):
            self.best = value["distance"]
            self.request(number + 2, after=number)
        else:
            self.open -= 1
        if self.open == 0:
            self.done.set()


def search(request, server_of):
    """Run the search with the task server that ``server_of`` returns for its queues; return every result."""
    queues = PipeQueues()
    server = server_of(queues)
    server.start()
    thinker = Search(queues, request["params"].get("numbers", [0, 1, -1]))
    try:
        thinker.start()
        thinker.join(seconds_left(request))
        if thinker.is_alive():
            raise TimeoutError(f"the search has not ended; its results: {json.dumps(thinker.results)}")
    finally:
        queues.send_kill_signal()
        server.join(30)
        server.kill()
    return thinker.results


def seconds_left(request):
    """Return the seconds until this payload's time limit."""
    limit = request.get("limit") or request.get("walltime") or 120
    return max(1.0, STARTED + 0.8 * limit - time.monotonic())
