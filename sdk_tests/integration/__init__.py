"""The cases: one file a component, each test the judge of a payload's answer on every scheduler it is planned for.

A test asserts an effect that only a real run can have: a computed value, a file's content, a host, a job id on which
scheduler and component agree. It may import ``sdk_tests.model.case`` and ``sdk_tests.model.attempt``, never a component: those are
imported by payloads, in the deployment's own interpreter.
"""
