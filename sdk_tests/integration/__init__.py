"""The packaged cases: one file for each component. Each test judges the answer of a payload on every planned scheduler.

A test asserts an effect that only a real run can have: a computed value, the content of a file, a host, a job id that
scheduler and component both report. It imports ``case``, ``EVERY`` and ``Outcome`` from ``sdk_tests``, and never a
component: payloads import components, in the interpreter of the deployment.
"""
