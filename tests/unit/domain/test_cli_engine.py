"""The submit helper of the command line: exit codes, log, alias, and what one look at it means."""

from __future__ import annotations

import pytest

from shared.domain.cli_engine import (
    SHOWN_BYTES,
    Exit,
    ExitCode,
    HelperLook,
    HelperState,
    alias_in,
    diagnostics,
    look_at_helper,
    openapi_missing,
    read_exit,
    sanitise,
    shown_log,
    submit_timeout,
    tail,
)
from shared.domain.cli_manifest import helper_name
from shared.domain.snapshot import PodView, read_job, read_pod
from tests.unit.domain.objects import COMPLETE, FAILED, JOB_ID, Json, condition, job, pod

OTHER = "job-" + "ab" * 16
NAME = helper_name(JOB_ID)
EXIT_CODES: dict[str, int] = {
    "EXIT_CODE=0": 0,
    "a\nEXIT_CODE=3": 3,
    " EXIT_CODE=7 \nnoise": 7,
    "EXIT_CODE=0\nTraceback (most recent call last):\n  File x\nValueError: y\nEXIT_CODE=1": 1,
    "EXIT_CODE=8\r\n": 8,
    "50 %\rEXIT_CODE=2": 2,
    "EXIT_CODE=255\n": 255,
    "EXIT_CODE=10\n\n\n": 10,
    "EXIT_CODE=007": 7,
}
UNMARKED = (
    "",
    "no marker",
    "EXIT_CODE=abc",
    "echo EXIT_CODE=5",
    "EXIT_CODE=0\nEXIT_CODE=bad",
    "EXIT_CODE=",
    "EXIT_CODE=11",
    "EXIT_CODE=-1",
    "EXIT_CODE=0x0",
    "EXIT_CODE=0 and more",
    "EXIT_CODE=0\nEXIT_CODE=99999",
    "exit_code=0",
    "EXIT_CODE =0",
    "EXIT_CODE=\u0660",
)


def views(*pods: Json) -> tuple[PodView, ...]:
    return tuple(read_pod(each) for each in pods)


def look(log: str = "", *conditions: Json, pods: tuple[Json, ...] | None = None, active: int = 0) -> HelperLook:
    """A look at a helper with one pod that has ended, unless said otherwise."""
    helper = read_job(job(NAME, *(conditions or (COMPLETE,)), app="elb-submit", active=active))
    own = (pod(NAME, "Succeeded", ended=(0, "Completed")),) if pods is None else pods
    return look_at_helper(helper, views(*own), log, JOB_ID)


@pytest.mark.proves("S7")
class TestExitCode:
    @pytest.mark.parametrize("log", EXIT_CODES)
    def test_the_last_marker_of_the_log_wins(self, log: str) -> None:
        assert read_exit(log) == Exit(ExitCode(EXIT_CODES[log]), marked=True)

    @pytest.mark.parametrize("log", UNMARKED)
    def test_anything_else_is_6(self, log: str) -> None:
        end = read_exit(log)
        assert (int(end.code), end.marked) == (6, False)

    def test_a_log_of_2_mb_with_the_marker_last(self) -> None:
        assert read_exit("noise of a log\n" * 140_000 + "EXIT_CODE=4\n").code is ExitCode.MEMORY

    def test_the_codes_are_those_of_the_table(self) -> None:
        assert [int(code) for code in ExitCode] == [*range(11), 255]
        assert [int(code) for code in ExitCode if code.is_transient] == [8, 10]


class TestAlias:
    @pytest.mark.parametrize(
        ("log", "alias"),
        [
            ("", ""),
            (f"search {JOB_ID}", ""),
            (f"search {OTHER}.", OTHER),
            (f"'{OTHER}' -> '{JOB_ID}'", OTHER),
            (f"waits for job-{'0' * 32}\nsearch {OTHER}\n", OTHER),
            (f"{OTHER}0 is longer", ""),
            (f"x{OTHER}", ""),
            (f"init-{OTHER}", ""),
            (f"{OTHER.upper()}", ""),
            (f"https://store/results/{OTHER}/metadata", OTHER),
        ],
    )
    def test_the_last_other_id_that_is_named(self, log: str, alias: str) -> None:
        assert alias_in(log, JOB_ID) == alias

    def test_only_of_a_helper_that_succeeded(self) -> None:
        assert look(f"search {OTHER}\nEXIT_CODE=0").alias == OTHER
        assert look(f"search {OTHER}\nEXIT_CODE=3").alias == ""


class TestShownLog:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain, with\ttab\n", "plain, with\ttab\n"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b]0;title\x07text", "text"),
            ("a\x00b\x07c\x9bd\u202ee", "abcde"),
            ("50 %\r100 %\r\n", "50 %\n100 %\n"),
            ("https://x/y?sv=2021&sig=aB%2Fc%3D&se=2030", "https://x/y?sv=2021&sig=***&se=2030"),
            ("SIG%3DabcDEF rest", "SIG%3D*** rest"),
            ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: Bearer ***"),
            ("token eyJhbGciOi.eyJzdWIiOi.c2ln end", "token *** end"),
            ("AccountName=a;AccountKey=abc/def==;x=1", "AccountName=a;AccountKey=***;x=1"),
            ('{"access_token": "abc", "n": 1}', '{"access_token": "***", "n": 1}'),
            ("AZURE_CLIENT_SECRET=hunter2", "AZURE_CLIENT_SECRET=***"),
            ("x-elb-api-key: k1", "x-elb-api-key: ***"),
        ],
    )
    def test_what_is_dangerous_or_secret_goes(self, text: str, shown: str) -> None:
        assert sanitise(text) == shown

    def test_it_is_the_end_of_the_log(self) -> None:
        shown = shown_log(views(pod(NAME, "Failed", ended=(1, "Error"))), "a" * 50_000 + "the end")
        assert shown.endswith("aaathe end")
        assert len(shown.encode()) == SHOWN_BYTES

    def test_a_secret_is_seen_before_the_text_is_cut(self) -> None:
        secret = "S" * (SHOWN_BYTES + 100)
        assert "SSSS" not in shown_log((), f"https://x?sig={secret}")

    def test_no_character_is_cut_in_two(self) -> None:
        assert tail("\u00e9" * 10, 5) == "\u00e9\u00e9"
        assert tail("abc", 0) == ""

    def test_every_log_shows_phase_and_reasons(self) -> None:
        pods = views(
            pod(NAME, "Failed", ended=(137, "OOMKilled")),
            pod(NAME, "Pending", name="second", waiting=("ImagePullBackOff", "denied?sig=abc")),
        )
        assert diagnostics(pods) == (
            f"pod {NAME}-pod: phase Failed",
            "container blast: terminated, OOMKilled, exit code 137",
            "pod second: phase Pending",
            "container blast: waiting, ImagePullBackOff: denied?sig=***",
        )
        assert shown_log(pods, "text") == "\n".join((*diagnostics(pods), "text"))

    def test_diagnostics_leave_room_for_the_log(self) -> None:
        pods = views(*(pod(NAME, "Pending", name=f"p{n}", waiting=("X", "y" * 3000)) for n in range(50)))
        shown = shown_log(pods, "z" * 9000)
        assert len(shown.encode()) == SHOWN_BYTES
        assert shown.count("z") > 5000


class TestLook:
    def test_success(self) -> None:
        seen = look("EXIT_CODE=0")
        assert (seen.state, seen.code, seen.error, seen.may_try_again) == (
            HelperState.SUCCEEDED,
            ExitCode.OK,
            None,
            False,
        )

    @pytest.mark.parametrize("code", [code for code in ExitCode if code])
    def test_every_other_code_is_a_failure_that_says_what_to_do(self, code: ExitCode) -> None:
        seen = look(f"what happened\nEXIT_CODE={int(code)}", FAILED)
        assert (seen.state, seen.code, seen.unmarked_bytes) == (HelperState.FAILED, code, None)
        assert seen.error is not None
        assert seen.error["exit_code"] == int(code)
        assert (seen.error["job"], bool(seen.error["hint"])) == (NAME, True)
        assert f"(exit code {int(code)})" in seen.error["message"]
        assert "what happened" in seen.error["log_tail"]
        assert seen.may_try_again is (code in (8, 10))

    def test_the_log_decides_not_the_condition(self) -> None:
        assert look("EXIT_CODE=1", COMPLETE).state is HelperState.FAILED
        assert look("EXIT_CODE=0", FAILED).state is HelperState.SUCCEEDED

    @pytest.mark.proves("S7")
    def test_a_missing_marker_is_a_failure_with_the_byte_count(self) -> None:
        seen = look("caf\u00e9\n", COMPLETE)
        assert (seen.state, seen.code, seen.unmarked_bytes) == (HelperState.FAILED, ExitCode.PERMISSION, 6)
        assert seen.error is not None
        assert "its log ends without an exit code (6 bytes of log)" in seen.error["message"]

    def test_killed_for_its_memory(self) -> None:
        seen = look("begun", FAILED, pods=(pod(NAME, "Failed", ended=(137, "OOMKilled")),))
        assert seen.error is not None
        assert (seen.error["code"], seen.error["exit_code"]) == ("out_of_memory", 6)

    def test_stopped_at_its_own_deadline(self) -> None:
        seen = look("", condition("Failed", reason="DeadlineExceeded"), pods=())
        assert seen.error is not None
        assert "stopped at its deadline" in seen.error["message"]

    def test_a_job_that_is_behind_its_pod_has_ended(self) -> None:
        assert look("EXIT_CODE=0", condition("SuccessCriteriaMet")).state is HelperState.SUCCEEDED

    def test_a_marker_of_a_pod_that_still_runs_is_no_end(self) -> None:
        seen = look("EXIT_CODE=0", condition("Suspended", "False"), pods=(pod(NAME, "Running"),), active=1)
        assert (seen.state, seen.code) == (HelperState.RUNNING, None)

    def test_stuck_says_why(self) -> None:
        waiting = pod(NAME, "Pending", waiting=("ImagePullBackOff", 'Back-off pulling image "elb-openapi:4.14"'))
        seen = look("", condition("Suspended", "False"), pods=(waiting,), active=1)
        assert seen.state is HelperState.STUCK
        assert seen.reasons == ('ImagePullBackOff: Back-off pulling image "elb-openapi:4.14"',)

    def test_no_node_for_it(self) -> None:
        unscheduled = condition("PodScheduled", "False", reason="Unschedulable", message="0/4 nodes are available")
        seen = look("", condition("Suspended", "False"), pods=(pod(NAME, "Pending", conditions=[unscheduled]),))
        assert seen.reasons == ("Unschedulable: 0/4 nodes are available",)

    def test_no_pod_yet(self) -> None:
        assert look("", condition("Suspended", "False"), pods=()).state is HelperState.RUNNING

    def test_gone_or_going(self) -> None:
        assert look_at_helper(None, (), "", JOB_ID).state is HelperState.GONE
        going = read_job(job(NAME, COMPLETE, app="elb-submit", deleting=True))
        assert look_at_helper(going, (), "EXIT_CODE=0", JOB_ID).may_try_again

    def test_it_travels_without_its_log(self) -> None:
        assert look("text\nEXIT_CODE=0").to_dict() == {
            "state": "succeeded",
            "alias": "",
            "code": 0,
            "error": None,
            "reasons": [],
            "may_try_again": False,
        }


class TestErrors:
    @pytest.mark.proves("S8")
    def test_a_missing_elb_openapi_says_which_call_deploys_it(self) -> None:
        error = openapi_missing()
        assert error["code"] == "openapi_missing"
        assert error["message"] == (
            "No elb-openapi pod found in cluster. Deploy it from the AKS card (provisioning a cluster runs this "
            "automatically; for an existing cluster use POST /api/aks/openapi/deploy)."
        )

    def test_a_timeout_says_what_the_helper_waited_for(self) -> None:
        error = submit_timeout(600, {"reasons": ["ImagePullBackOff: denied"], "log": "pod p: Pending"}, removed=True)
        assert error["code"] == "submit_timeout"
        assert error["message"] == "elastic-blast submit did not end within 600 s: ImagePullBackOff: denied"
        assert error["log_tail"] == "pod p: Pending"

    def test_a_timeout_does_not_claim_a_removal(self) -> None:
        error = submit_timeout(600, None, removed=False)
        assert error["message"].endswith("it still ran; the helper could not be removed: its own deadline ends it")
