"""Fixture: EnTK with a pilot that has run a task, for payloads that do not test its start."""

import contextlib

import _workflows


@contextlib.contextmanager
def fixture(request):
    with _workflows.workflows(request) as workflows:
        import radical.entk as re

        pipeline, stage, task = re.Pipeline(), re.Stage(), re.Task()
        task.executable = "/bin/true"
        stage.add_tasks(task)
        pipeline.add_stages(stage)
        workflows.run([pipeline])
        if task.state != "DONE":
            raise RuntimeError(f"the first task of the pilot is {task.state}")
        _workflows.shared = workflows
        yield
