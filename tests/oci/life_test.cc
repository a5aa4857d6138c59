// The life of a container, by the commands of an engine.
#include <signal.h>
#include <sys/wait.h>

#include "tests/oci/container.h"

namespace bailey::tests {
namespace {

class OciLife : public OciContainer {};
INSTANTIATE_TEST_SUITE_P(Backends, OciLife, testing::Values("native", "gvisor"), name_of_backend);

TEST_P(OciLife, GoesFromCreatedToRunningToStoppedAndIsGone) {
  run("echo begun; exit 3");
  const Outcome made = create();
  ASSERT_EQ(made.exit_code, 0) << output();
  EXPECT_EQ(status(), "created");
  EXPECT_EQ(output(), "") << "nothing of it has run";
  EXPECT_EQ(::kill(pid(), 0), 0);
  EXPECT_EQ(oci({"start", id_}).exit_code, 0);
  const int ended = wait_for_end();
  EXPECT_TRUE(WIFEXITED(ended));
  EXPECT_EQ(WEXITSTATUS(ended), 3);
  EXPECT_EQ(output(), "begun\n");
  EXPECT_EQ(status(), "stopped");
  EXPECT_EQ(oci({"delete", id_}).exit_code, 0);
  const Outcome gone = oci({"state", id_});
  EXPECT_NE(gone.exit_code, 0);
  EXPECT_NE(gone.err.find("container \"" + id_ + "\" does not exist"), std::string::npos) << gone;
}

TEST_P(OciLife, SaysWhatTheSpecificationWantsOfTheState) {
  config_.annotations["org.example.note"] = "kept";
  run("sleep 100");
  ASSERT_EQ(create().exit_code, 0) << output();
  const json::Value document = state();
  const auto& object = *document.as<json::Object>();
  for (const char* key : {"ociVersion", "id", "status", "pid", "bundle", "annotations"}) EXPECT_TRUE(object.find(key)) << key;
  EXPECT_EQ(*object.find("bundle")->as<std::string>(), bundle());
  EXPECT_EQ(json::write(*object.find("pid")), std::to_string(pid()));
  EXPECT_EQ(*object.find("annotations")->as<json::Object>()->find("org.example.note")->as<std::string>(), "kept");
}

TEST_P(OciLife, StartsAContainerOnce) {
  run("sleep 100");
  ASSERT_EQ(create().exit_code, 0) << output();
  ASSERT_EQ(oci({"start", id_}).exit_code, 0);
  const Outcome again = oci({"start", id_});
  EXPECT_NE(again.exit_code, 0);
  EXPECT_NE(again.err.find("not in created state"), std::string::npos) << again;
  EXPECT_EQ(status(), "running");
}

TEST_P(OciLife, RefusesAnIdThatIsTaken) {
  run("sleep 100");
  ASSERT_EQ(create().exit_code, 0) << output();
  EXPECT_NE(create().exit_code, 0);
  EXPECT_NE(read_file(directory_.file("log")).find("already exists"), std::string::npos);
  EXPECT_EQ(status(), "created") << "the first one is unharmed";
}

TEST_P(OciLife, KillsByNumberAndByName) {
  for (const char* signal : {"9", "KILL", "SIGKILL"}) {
    run("sleep 100");
    ASSERT_EQ(create().exit_code, 0) << output();
    ASSERT_EQ(oci({"start", id_}).exit_code, 0);
    EXPECT_EQ(oci({"kill", id_, signal}).exit_code, 0);
    const int ended = wait_for_end();
    EXPECT_TRUE(WIFSIGNALED(ended) ? WTERMSIG(ended) == SIGKILL : WEXITSTATUS(ended) == 137) << ended;
    EXPECT_EQ(oci({"delete", id_}).exit_code, 0);
  }
}

TEST_P(OciLife, LetsTheCommandCatchASignal) {
  run("trap 'echo caught; exit 5' TERM; echo set; while :; do sleep 0.05; done");
  ASSERT_EQ(create().exit_code, 0) << output();
  ASSERT_EQ(oci({"start", id_}).exit_code, 0);
  ASSERT_TRUE(await_output("set\n"));
  EXPECT_EQ(oci({"kill", id_}).exit_code, 0) << "TERM is what it sends by default";
  EXPECT_EQ(WEXITSTATUS(wait_for_end()), 5);
  EXPECT_EQ(output(), "set\ncaught\n");
}

// containerd takes these words for a container that has ended.
TEST_P(OciLife, SaysThatAnEndedContainerIsNotRunning) {
  EXPECT_EQ(WEXITSTATUS(run_through("exit 0")), 0);
  const Outcome killed = oci({"kill", id_, "KILL"});
  EXPECT_NE(killed.exit_code, 0);
  EXPECT_NE(killed.err.find("container not running"), std::string::npos) << killed;
}

TEST_P(OciLife, KillsOneThatWasCreatedAndNotStarted) {
  run("echo never");
  ASSERT_EQ(create().exit_code, 0) << output();
  EXPECT_EQ(oci({"kill", id_, "KILL"}).exit_code, 0);
  wait_for_end();
  EXPECT_EQ(status(), "stopped");
  EXPECT_NE(oci({"start", id_}).exit_code, 0);
  EXPECT_EQ(oci({"delete", id_}).exit_code, 0);
  EXPECT_EQ(output(), "");
}

TEST_P(OciLife, DeletesARunningOneOnlyByForce) {
  run("sleep 100");
  ASSERT_EQ(create().exit_code, 0) << output();
  ASSERT_EQ(oci({"start", id_}).exit_code, 0);
  const Outcome refused = oci({"delete", id_});
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.err.find("that is not stopped: running"), std::string::npos) << refused;
  EXPECT_EQ(oci({"delete", "--force", id_}).exit_code, 0);
  wait_for_end();
  EXPECT_NE(oci({"state", id_}).exit_code, 0);
}

TEST_P(OciLife, DeletesByForceWhatIsNotThere) {
  EXPECT_NE(oci({"delete", id_}).exit_code, 0);
  EXPECT_EQ(oci({"delete", "--force", id_}).exit_code, 0);
}

TEST_P(OciLife, DeletesByForceWhatNobodyCanRead) {
  for (const char* record : {"", "{", "{\"version\": 1}", "\x01\x02"}) {
    run("sleep 100");
    ASSERT_EQ(create().exit_code, 0) << output();
    directory_.write("state/" + id_ + "/record.json", record);
    EXPECT_EQ(oci({"delete", "--force", id_}).exit_code, 0);
    EXPECT_NE(oci({"state", id_}).exit_code, 0) << record;
    ::kill(pid(), SIGKILL);  // nothing says any more whose it is
    wait_for_end();
  }
}

TEST_P(OciLife, PausesAndResumes) {
  run("while :; do echo tick; sleep 0.02; done");
  ASSERT_EQ(create().exit_code, 0) << output();
  EXPECT_NE(oci({"pause", id_}).exit_code, 0) << "it does not run yet";
  ASSERT_EQ(oci({"start", id_}).exit_code, 0);
  ASSERT_TRUE(await_output("tick"));
  ASSERT_EQ(oci({"pause", id_}).exit_code, 0);
  EXPECT_EQ(status(), "paused");
  const std::string before = output();
  ::usleep(200'000);
  EXPECT_EQ(output(), before);
  ASSERT_EQ(oci({"resume", id_}).exit_code, 0);
  EXPECT_EQ(status(), "running");
  EXPECT_TRUE(await_output(before + "tick"));
}

TEST_P(OciLife, DeletesAPausedOneByForce) {
  run("sleep 100");
  ASSERT_EQ(create().exit_code, 0) << output();
  ASSERT_EQ(oci({"start", id_}).exit_code, 0);
  ASSERT_EQ(oci({"pause", id_}).exit_code, 0);
  EXPECT_EQ(oci({"delete", "--force", id_}).exit_code, 0);
  wait_for_end();
}

TEST_P(OciLife, ListsItsContainers) {
  run("sleep 100");
  ASSERT_EQ(create().exit_code, 0) << output();
  EXPECT_EQ(oci({"list", "-q"}).out, id_ + "\n");
  const auto listed = json::parse(oci({"list", "--format", "json"}).out, "list");
  ASSERT_TRUE(listed && listed->as<json::Array>());
  EXPECT_EQ(listed->as<json::Array>()->size(), 1u);
  EXPECT_NE(oci({"list"}).out.find("created"), std::string::npos);
}

TEST_P(OciLife, RunsInOneCommand) {
  run("echo whole; exit 4");
  ASSERT_EQ(create({}, other_id_).exit_code, 0) << output();  // writes the bundle
  const Outcome got = oci({"run", "--bundle", bundle(), id_});
  EXPECT_EQ(got.exit_code, 4) << got;
  EXPECT_EQ(got.out, "whole\n");
  EXPECT_NE(oci({"state", id_}).exit_code, 0) << "it is deleted";
}

}  // namespace
}  // namespace bailey::tests
