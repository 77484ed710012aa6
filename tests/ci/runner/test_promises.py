"""The table of the promises of docs/ci.md, each with its test; a row whose text or test does not exist fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parents[1] / "docs" / "ci.md"
LIFE = "test_a_system_survives_a_lost_runner_a_timeout_a_cancellation_and_a_dead_collector"

PROMISES: tuple[tuple[str, str, str], ...] = (
    # The root pipeline
    ("checks the project itself (lint, tests, a rehearsal of every site)", "runner/test_rules.py",
     "test_a_push_checks_the_project_and_no_system"),
    ("It also generates a pipeline for every active system", "test_generate.py",
     "test_the_committed_pipelines_are_current"),
    ("It starts one child pipeline per system", "runner/test_root.py",
     "test_the_root_pipeline_starts_a_child_and_publishes_its_reports"),
    ("systems, separated by commas, or `all`", "runner/test_rules.py", "test_sites_chooses_systems"),
    ("a schedule without it tests all systems", "runner/test_rules.py",
     "test_a_schedule_tests_every_system_of_this_gitlab_and_not_the_project"),
    ("`smoke`, `integration` (the default) or `scale`, which runs on a schedule only", "runner/test_rules.py",
     "test_the_tier_chooses_the_stages_and_scale_runs_on_a_schedule_only"),
    ("to use instead of the site's runners", "runner/test_rules.py",
     "test_the_variable_for_pods_chooses_one_of_two_forms"),
    ("A merge request runs the smoke tier of the systems whose files it changes", "runner/test_rules.py",
     "test_a_merge_request_runs_the_smoke_tier_of_the_systems_that_it_changes"),
    ("starts only on the GitLab that its file names as `ci.server`", "runner/test_rules.py",
     "test_a_schedule_tests_every_system_of_this_gitlab_and_not_the_project"),
    ("A merge request from a fork starts no system's pipeline", "runner/test_rules.py",
     "test_a_merge_request_of_a_fork_starts_no_system_and_a_system_starts_no_job_for_it"),
    # A system's pipeline
    ("which is kept between pipelines, under a lock", "test_stages.py",
     "test_a_locked_stage_waits_for_the_other_pipeline"),
    ("if it does not pass, no later stage runs", "test_pipeline.py",
     "test_a_broken_site_is_a_warning_or_a_failure_as_its_file_requires"),
    ("the cases of that tier", "runner/test_life.py",
     "test_a_batch_system_passes_through_its_shell_runner_and_its_batch_runner"),
    ("`deliver` pushes the runs that the collector lacks", "runner/test_life.py", LIFE),
    ("`status` updates the merge request", "runner/test_life.py", LIFE),
    ("removes delivered runs older than 30 days from the work directory", "test_stages.py",
     "test_a_run_is_delivered_once_with_the_stored_token_and_removed_only_after_that"),
    ("install: the release's pip environment", "test_generate.py",
     "test_each_active_system_has_a_valid_pipeline_for_every_kind_of_deployment"),
    ("concretize, install: the release's Spack environment", "test_generate.py",
     "test_a_site_file_with_deployment_spack_has_a_pipeline_that_builds_it"),
    ("none: what exists is validated", "test_generate.py",
     "test_building_and_installing_are_separate_stages_if_something_is_built"),
    ("With `ci: {package_jobs: true}` a Spack build is split into jobs", "test_packages.py",
     "test_the_pipeline_builds_each_package_in_a_job_of_its_own"),
    ("Each package is a job that runs after the packages that it needs", "test_packages.py",
     "test_each_missing_package_is_a_job_after_those_that_it_needs"),
    ("so that GitLab's test report shows a failed build beside failed cases", "test_stages.py",
     "test_a_stage_returns_the_commands_exit_code_and_writes_it_to_junit"),
    ("It also keeps the outbox of every run that it started", "test_stages.py",
     "test_a_stage_keeps_the_outbox_of_its_run_and_nothing_private"),
    # Lanes
    ("`EXAWORKS_LANES` chooses lanes, separated by commas, or `all`; without it the first lane runs", "test_lanes.py",
     "test_the_variable_of_a_pipeline_chooses_the_lanes"),
    ("The jobs and the case ids of the first lane have plain names", "test_lanes.py",
     "test_the_first_lane_has_plain_names_and_each_lane_builds_what_it_tests"),
    ("The verdict has a line for each lane", "test_lanes.py",
     "test_runs_of_lanes_at_the_same_time_belong_to_their_own_stage_and_are_judged_side_by_side"),
    ("Lanes are tested at the same time only where the site's limits", "test_lanes.py",
     "test_lanes_are_tested_at_once_only_where_the_site_admits_a_job_of_each"),
    ("micromamba, mamba and conda can all create it", "../exaworks_sdk/test_conda.py",
     "test_an_environment_is_created_once_and_is_a_deployment"),
    # Verdict
    ("Custom executors such as Jacamar turn every exit code into 1", "runner/test_protocol.py",
     "test_every_exit_code_becomes_one_and_the_script_ends_at_the_first_failure"),
    ("so the verdict does not depend on the status of a job", "runner/test_life.py", LIFE),
    ("A test stage that did not pass is a warning", "runner/test_life.py", LIFE),
    ("for a missing stage or manifest", "test_stages.py",
     "test_a_missing_manifest_fails_whatever_the_exit_code_was"),
    ("and for a run that was not closed", "test_stages.py", "test_a_run_that_was_not_closed_fails"),
    ("for a run in which only the site's infrastructure failed", "test_stages.py",
     "test_the_exit_code_in_the_manifest_counts_and_that_of_the_job_does_not"),
    ("GitLab's coverage badge shows this number", "runner/test_life.py",
     "test_a_batch_system_passes_through_its_shell_runner_and_its_batch_runner"),
    ("is also the comment in a merge request", "runner/test_life.py",
     "test_a_batch_system_passes_through_its_shell_runner_and_its_batch_runner"),
    ("It ends with the collector's badge of the system", "test_stages.py",
     "test_the_comment_shows_the_collectors_badge_and_links_the_systems_page"),
    ("GitLab repeats a job only after a failure or the loss of its runner", "runner/test_life.py", LIFE),
    ("never after a script that ran out of time", "runner/test_life.py", LIFE),
    # What is kept
    ("are always artifacts, also of a failed job", "runner/test_life.py", LIFE),
    ("No other file of a run is ever an artifact", "runner/test_life.py", LIFE),
    ("`RUNNER_SCRIPT_TIMEOUT` is ten minutes shorter than the timeout of the job", "runner/test_rules.py",
     "test_every_script_ends_ten_minutes_before_its_job_and_after_script_within_them"),
    ("so that a script that runs out of time still leaves its artifacts", "runner/test_protocol.py",
     "test_a_script_that_runs_out_of_time_leaves_its_artifacts_and_runs_after_script"),
    ("limited by `ci.timeout`", "test_generate.py", "test_the_timeout_of_a_job_is_within_the_sites_limit"),
    ("A collector that does not answer is a warning", "runner/test_life.py", LIFE),
    ("and the next pipeline delivers it", "runner/test_life.py", LIFE),
    ("It also stays in the artifacts, from which anyone can deliver it", "test_pipeline.py",
     "test_a_spool_from_the_artifacts_can_be_sent_from_anywhere"),
    # Runners
    ("With `runner: {executor: batch}` a test stage is a batch job", "runner/test_life.py",
     "test_a_batch_system_passes_through_its_shell_runner_and_its_batch_runner"),
    ("names the variable in which Jacamar expects the job's options", "runner/test_life.py",
     "test_a_batch_system_passes_through_its_shell_runner_and_its_batch_runner"),
    ("the account stays a reference to its variable", "test_generate.py",
     "test_a_batch_runner_gets_its_options_in_the_sites_variable_with_a_reference_to_the_account"),
    ("The other stages run on runners with the `shell_tags`", "runner/test_rules.py",
     "test_the_sites_runners_can_take_every_job_and_a_batch_job_goes_to_the_batch_runner"),
    ("Nothing needs a container", "test_generate.py",
     "test_only_a_failure_of_the_runner_is_repeated_and_nothing_needs_a_container"),
    ("there is no control stage, and the first test stage follows the last one that builds", "test_generate.py",
     "test_a_runner_whose_jobs_are_all_batch_jobs_has_no_control_stage"),
    ("What a site does not publish is a variable of the project with a default", "test_unattended.py",
     "test_what_a_site_does_not_publish_is_a_variable_with_a_default"),
    ("lists every variable that an unattended run reads, and which must still be set", "test_unattended.py",
     "test_verify_names_what_is_unset_and_what_has_the_default"),
    ("instead of the site file's `work_dir`", "runner/test_life.py", LIFE),
    ("the token to use if the collector does not accept the job's own identity", "test_stages.py",
     "test_a_run_is_delivered_once_with_the_stored_token_and_removed_only_after_that"),
    ("where jobs fetch the SDK, if another project includes the file", "test_pipeline.py",
     "test_the_six_lines_in_the_readme_run_the_sdk_from_the_given_address"),
    ("Only `deliver` has it", "test_generate.py",
     "test_every_job_has_jacamars_token_and_only_one_has_the_collectors"),
    ("The root pipeline's `junit` job therefore fetches them and publishes them again", "runner/test_root.py",
     "test_the_root_pipeline_starts_a_child_and_publishes_its_reports"),
    ("It uses the job's token where that token may read pipelines", "test_forge.py",
     "test_the_jobs_own_token_is_used_if_no_other_is_given"),
    # A runner of your own on Kubernetes
    ("writes a batch script without secrets", "test_submit.py",
     "test_the_batch_script_has_the_pipelines_variables_and_no_secret"),
    ("Delivery and verdict run in the pod", "test_unattended.py",
     "test_a_pod_submits_every_stage_and_delivers_by_itself"),
    ("the batch job is cancelled too if the pod has `scancel`", "test_submit.py",
     "test_the_end_of_a_pod_cancels_its_batch_job"),
    # GitHub Actions
    ("`--check` names a workflow that is not current", "test_github.py",
     "test_check_names_a_workflow_that_was_edited_and_one_that_is_missing"),
    ("with the commands and images of the root pipeline on GitLab", "test_github.py",
     "test_the_projects_checks_are_those_of_gitlabs_root_pipeline"),
    ("A pull request from a fork gets no secret", "test_github.py",
     "test_only_the_step_that_delivers_has_a_secret_and_a_workflow_may_only_read_the_repository"),
    ("never for a pull request", "test_github.py",
     "test_a_pull_request_starts_nothing_on_a_runner_of_a_facility"),
    ("with the tags of the site file as labels", "test_github.py",
     "test_a_system_needs_a_runner_with_the_tags_of_its_login_node_and_the_account_of_its_file"),
    ("keeps the outbox of the run as an artifact", "test_github.py",
     "test_the_workflow_of_own_cases_runs_them_and_keeps_the_outbox_alone"),
    ("A run in which only the site's infrastructure failed is a warning", "test_github.py",
     "test_a_failure_of_the_sites_infrastructure_alone_is_a_warning"),
    # Cron
    ("writes a script and prints its entry", "test_scripts.py",
     "test_the_cron_script_runs_with_an_empty_environment_delivers_and_prints_nothing"),
    ("Perlmutter's request the QOS and the login nodes", "test_scripts.py",
     "test_the_scrontab_entry_of_perlmutter_has_the_options_of_its_site_file"),
    ("Minute and hour are computed from the system's name", "test_scripts.py",
     "test_sites_do_not_all_start_in_the_same_minute"),
    ("The script needs nothing from the environment that starts it", "test_scripts.py",
     "test_the_cron_script_runs_with_an_empty_environment_delivers_and_prints_nothing"),
    ("If an earlier script is still running, it exits", "test_scripts.py",
     "test_a_second_cron_run_exits_while_the_first_is_running"),
    ("It prints only if something is wrong", "test_scripts.py",
     "test_a_failing_cron_run_is_reported_by_output_and_exit_code"),
    # Changing it
    ("a test compares them with the committed files", "test_generate.py", "test_the_committed_pipelines_are_current"),
    ("They check each file against GitLab's schema", "test_generate.py", "test_every_committed_file_is_valid_gitlab"),
    ("each line of shell with shellcheck", "test_scripts.py", "test_shellcheck_finds_nothing_in_any_generated_job"),
)  # fmt: skip
"""A part of a sentence of the page, and the test that holds it: its file below tests/ci, and its name."""


def page() -> str:
    return " ".join(PAGE.read_text().split())


@pytest.mark.parametrize("promise, file, test", PROMISES, ids=[promise[:60] for promise, _, _ in PROMISES])
def test_the_page_makes_the_promise_and_its_test_exists(promise: str, file: str, test: str) -> None:
    assert promise in page(), "the page has other words: change the row with it"
    assert re.search(rf"^def {test}\(", (TESTS / file).read_text(), re.MULTILINE), f"{file} has no test of this name"


def test_every_section_of_the_page_has_a_promise_in_the_table() -> None:
    sections = re.split(r"^#{2,3} ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    assert len(sections) > 6
    for section in sections:
        text = " ".join(section.split())
        assert [row for row in PROMISES if row[0] in text], f"no promise of {section.splitlines()[0]!r} is in the table"
