// Options of volumes, and volumes that meet: each option works on either backend or is refused by name, and the order in which
// volumes are listed hides none of them.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

class MountsContract : public Contract {
 protected:
  // Access times in hours from now. One in the future is what relatime leaves alone, whenever the file itself was changed.
  static void set_accessed(const std::string& path, time_t hours) {
    const timespec times[] = {{time(nullptr) + hours * 3600, 0}, {0, UTIME_OMIT}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  static time_t accessed(const std::string& path) {
    struct stat info{};
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    return (info.st_atim.tv_sec - time(nullptr) + 100 * 3600 + 1800) / 3600 - 100;
  }
  // The mount of the probe programs, for a document.
  std::string probes() {
    const std::string flag = with_probes().back();
    return R"({"destination": "/probes", "type": "bind", "options": ["ro"], "source": ")" + flag.substr(0, flag.find(':')) +
           "\"}";
  }
  Outcome with_option(const std::string& source, const std::string& option, const std::string& script) {
    return shell(with_probes({"-v", source + ":/data:" + option}), script);
  }
  static void expect_refusal(const Outcome& got, const std::vector<std::string>& says) {
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_EQ(got.out, "") << got;
    for (const std::string& text : says)
      EXPECT_NE(got.err.find(text), std::string::npos) << "does not say " << text << ": " << got;
    EXPECT_NE(got.err.find("\n  remedy: "), std::string::npos) << got;
  }
  // A request document with these mounts, and with `more` members: `"secrets": [...],`.
  Outcome with_mounts(const std::string& mounts, const std::string& script, const std::string& more = "") {
    const TempDir directory;
    const std::string runtime = gvisor() ? "gvisor" : "native";
    const json::Value word(script);
    std::string text = "{\"trust\": \"trusted\", \"runtime\": \"" + runtime + "\", ";
    if (backend() == "gvisor-2022") text += "\"runsc\": \"" + runsc_2022_path() + "\", ";
    text += more + "\"config\": {\"ociVersion\": \"1.0.2\", \"mounts\": [" + mounts +
            "], \"process\": {\"cwd\": \"/\", \"args\": [\"/bin/sh\", \"-c\", " + json::write(word) + "]}}}";
    return run_bailey({.arguments = {"run", "--request", directory.write("request.json", text)}});
  }
};

TEST_F(MountsContract, TakesEveryOptionOfTheTable) {
  const TempDir directory;
  directory.write("file", "here\n");
  for (const std::string option : {"ro", "rro", "rw", "nosuid", "rnosuid", "nodev", "rnodev", "noexec", "rnoexec", "exec",
                                   "private", "rprivate", "bind", "rbind", "ro,ro", "ro,noexec,nosuid,nodev"}) {
    const Outcome got = with_option(directory.path(), option, "cat /data/file");
    EXPECT_EQ(got.exit_code, 0) << option << ": " << got;
    EXPECT_EQ(got.out, "here\n") << option << ": " << got;
  }
}

TEST_F(MountsContract, KeepsTheAccessTimesAsAsked) {
  const struct {
    const char* option;
    time_t file, directory;  // hours from now to the last access, after one
  } cases[] = {{"noatime", 5, 5},
               {"rnoatime", 5, 5},
               {"strictatime", 0, 0},
               {"rstrictatime", 0, 0},
               {"relatime", 5, 5},
               {"rrelatime", 5, 5},
               {"atime", 5, 5},
               {"nodiratime,strictatime", 0, 5},
               {"rnodiratime,strictatime", 0, 5},
               {"diratime,strictatime", 0, 0}};
  for (const auto& one : cases) {
    SCOPED_TRACE(one.option);
    const TempDir directory;
    const std::string file = directory.write("file", "here\n", 0644);
    set_accessed(file, 5);
    set_accessed(directory.path(), 5);
    const Outcome got = with_option(directory.path(), one.option, "cat /data/file; cd /data; echo *");
    if (caller() != Caller::root) {
      expect_refusal(got, {"root", std::string(one.option).substr(0, std::string(one.option).find(','))});
      continue;
    }
    EXPECT_EQ(got.out, "here\nfile\n") << got;
    EXPECT_EQ(accessed(file), one.file);
    EXPECT_EQ(accessed(directory.path()), one.directory);
  }
}

// relatime by itself writes what was accessed before it was changed; noatime does not.
TEST_F(MountsContract, TellsNoatimeFromTheDefault) {
  for (const std::string option : {"rw", "noatime"}) {
    if (option == "noatime" && caller() != Caller::root) continue;  // refused above
    const TempDir directory;
    const std::string file = directory.write("file", "here\n", 0644);
    set_accessed(file, -9);
    const Outcome got = with_option(directory.path(), option, "cat /data/file");
    EXPECT_EQ(got.out, "here\n") << got;
    EXPECT_EQ(accessed(file), option == "rw" ? 0 : -9) << option;
  }
}

TEST_F(MountsContract, RunsNoProgramOfAVolumeThatIsNoexec) {
  const TempDir directory;
  directory.write("program", "#!/bin/sh\necho RAN\n", 0755);
  for (const std::string option : {"noexec", "rnoexec", "ro,noexec"}) {
    const Outcome got = with_option(directory.path(), option, "/data/program");
    EXPECT_EQ(got.exit_code, 126) << option << ": " << got;
    EXPECT_EQ(got.out, "") << option << ": " << got;
  }
  EXPECT_EQ(with_option(directory.path(), "exec", "/data/program").out, "RAN\n");
}

TEST_F(MountsContract, RefusesEveryOtherOptionByName) {
  const TempDir directory;
  const std::pair<const char*, const char*> options[] = {{"suid", "nosuid"},
                                                         {"dev", "nodev"},
                                                         {"norelatime", "strictatime"},
                                                         {"nostrictatime", "relatime"},
                                                         {"sync", "file system"},
                                                         {"lazytime", "file system"},
                                                         {"mand", "file system"},
                                                         {"silent", "file system"},
                                                         {"bindable", ""},
                                                         {"unbindable", "host"},
                                                         {"shared", "host"},
                                                         {"rslave", "host"},
                                                         {"remount", "once"},
                                                         {"nosymfollow", "gVisor"},
                                                         {"idmap", "ids"},
                                                         {"X-mount.idmap=b", "ids"},
                                                         {"context=x", "label"},
                                                         {"size=1", "tmpfs"},
                                                         {"uid=1", "tmpfs"},
                                                         {"x-systemd.automount", "fstab"},
                                                         {"defaults", "fstab"},
                                                         {"z", "engine"},
                                                         {"RO", ""},
                                                         {"ro ", ""},
                                                         {"", "empty"},
                                                         {"ro,", "empty"},
                                                         {"rrw", "host"},
                                                         {"rexec", "host"},
                                                         {"ro,rw", "contradict"},
                                                         {"noexec,exec", "contradict"},
                                                         {"rro,rw", "contradict"}};
  for (const auto& [option, word] : options) {
    const std::string text(option);
    const std::string last = text.substr(text.find(',') == text.npos || text.ends_with(',') ? 0 : text.find(',') + 1);
    expect_refusal(with_option(directory.path(), text, "echo STARTED"), {last.ends_with(',') ? "''" : "'" + last + "'", word});
  }
}

TEST_F(MountsContract, JudgesTheOptionsOfADocumentAlike) {
  const TempDir directory;
  directory.write("file", "here\n");
  const auto bind = [&](const std::string& options) {
    return R"({"destination": "/data", "type": "bind", "source": ")" + directory.path() + R"(", "options": [)" + options + "]}";
  };
  EXPECT_EQ(with_mounts(bind(R"("bind", "ro", "noexec")"), "cat /data/file").out, "here\n");
  EXPECT_EQ(with_mounts(bind(""), "cat /data/file").out, "here\n");
  expect_refusal(with_mounts(bind(R"("ro", "norelatime")"), "echo STARTED"), {"'norelatime'", "strictatime"});
  expect_refusal(with_mounts(bind(R"("ro", "rw")"), "echo STARTED"), {"'ro' and 'rw'"});
  const auto tmpfs = [](const std::string& options) {
    return R"({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": [)" + options + "]}";
  };
  const Outcome got = with_mounts(tmpfs(R"("mode=0710", "noexec", "uid=0")") + ", " + probes(),
                                  probe("stat") + " /data | cut -c1-7; echo x > /data/x && echo WRITTEN");
  EXPECT_EQ(got.out, "710 0 0\nWRITTEN\n") << got;
  expect_refusal(with_mounts(tmpfs(R"("size=1M")"), "echo STARTED"), {"'size=1M'", "--tmpfs-size"});
  expect_refusal(with_mounts(tmpfs(R"("noatime")"), "echo STARTED"), {"'noatime'", "tmpfs"});
  expect_refusal(with_mounts(tmpfs(R"("mode=rwx")"), "echo STARTED"), {"'mode=rwx'", "octal"});
  expect_refusal(with_mounts(tmpfs(R"("mode=0700", "mode=0755")"), "echo STARTED"), {"'mode=0700' and 'mode=0755'"});
  expect_refusal(with_mounts(tmpfs(R"("uid=4294967295")"), "echo STARTED"), {"'uid=4294967295'", "id"});
  const Outcome owned =
      with_mounts(tmpfs(R"("uid=1000680000", "gid=70000")") + ", " + probes(), probe("stat") + " /data | cut -d' ' -f2,3");
  if (caller() != Caller::bare || gvisor()) {
    EXPECT_EQ(owned.out, "1000680000 70000\n") << owned;
  } else {
    expect_refusal(owned, {"uid=1000680000", "/data"});
  }
}

// A volume on a directory hid, without a word, what had been mounted below it before.
TEST_F(MountsContract, HideNoneBelowAnotherWhateverTheOrder) {
  const TempDir top, middle, bottom;
  for (const auto& [directory, name] : {std::pair(&top, "top"), {&middle, "middle"}, {&bottom, "bottom"}})
    directory->write("name", std::string(name) + "\n");
  fs::create_directory(top.file("a"));
  fs::create_directory(middle.file("b"));
  std::vector<std::string> volumes = {top.path() + ":/data:ro", middle.path() + ":/data/a:ro", bottom.path() + ":/data/a/b:ro"};
  std::ranges::sort(volumes);
  do {
    const Outcome got =
        shell({"-v", volumes[0], "-v", volumes[1], "-v", volumes[2], "-w", "/data/a/b"}, "cat /data/name /data/a/name name");
    EXPECT_EQ(got.exit_code, 0) << got;
    EXPECT_EQ(got.out, "top\nmiddle\nbottom\n") << volumes[0] << ' ' << volumes[1] << ' ' << volumes[2] << ": " << got;
  } while (std::ranges::next_permutation(volumes).found);
}

// What `run` mounts by itself (/tmp, the home) comes before the caller's, or not at all where the caller's holds it.
TEST_F(MountsContract, MeetTheMountsThatEverySandboxHas) {
  const TempDir volume, inner;
  volume.write("name", "volume\n");
  inner.write("name", "inner\n");
  fs::create_directory(volume.file("deep"));
  const std::string flag = volume.path() + ":", below = inner.path() + ":";
  EXPECT_EQ(shell({"-v", below + "/tmp/deep:ro", "-v", flag + "/tmp:ro"}, "cat /tmp/name /tmp/deep/name").out,
            "volume\ninner\n");
  EXPECT_EQ(shell({"-e", "HOME=/h/x", "-v", flag + "/h/x/y:ro"}, "echo x > ~/new; cd; echo *; cat ~/y/name").out,
            "new y\nvolume\n");
  EXPECT_EQ(shell({"-e", "HOME=/h/deep", "-v", below + "/h/deep:ro", "-v", flag + "/h:ro"}, "cat ~/name /h/name").out,
            "inner\nvolume\n");
  const std::string longest = "/" + std::string(255, 'h'), longer = longest + "h";
  EXPECT_EQ(shell({"-e", "HOME=" + longest}, "echo x > ~/new && cat ~/new").out, "x\n");
  EXPECT_EQ(shell({"-e", "HOME=" + longer}, "echo no home").out, "no home\n");
  EXPECT_EQ(shell({"-e", "HOME=/h/x/"}, "echo x > ~/new && cat ~/new").out, "x\n");
  const Outcome got = with_mounts(R"({"destination": "/data/deep/x", "type": "tmpfs", "source": "tmpfs"},)"
                                  R"({"destination": "/data", "type": "tmpfs", "source": "tmpfs"})",
                                  "echo x > /data/deep/x/here; echo x > /data/there; cd /data; echo *; cd deep/x; echo *");
  EXPECT_EQ(got.out, "deep there\nhere\n") << got;
}

TEST_F(MountsContract, TakesASlashAtTheEndAndRefusesOneThatIsNormalisedToAnother) {
  const TempDir volume;
  volume.write("name", "volume\n");
  EXPECT_EQ(shell({"-v", volume.path() + "/:/data/:ro"}, "cat /data/name").out, "volume\n");
  expect_refusal(shell({"-v", volume.path() + ":/data", "-v", volume.path() + ":/data/"}, "echo STARTED"),
                 {"/data", "same place"});
  for (const char* place : {"/data//", "/data/./", "/data/../x", "//data", "/./data", "/data/.", "/data/.."})
    expect_refusal(shell({"-v", volume.path() + ":" + place}, "echo STARTED"), {place, "normalised"});
  expect_refusal(shell({"-v", volume.file("name") + ":/data/", "-v", volume.path() + ":/data/below"}, "echo STARTED"),
                 {"/data/below", "/data", "file"});
  expect_refusal(shell({"-v", volume.file("name") + "/:/data"}, "echo STARTED"), {volume.file("name") + "/"});
}

// /var/run is a link of the default root: a place that has two names could be taken twice, and the secrets be covered.
TEST_F(MountsContract, KnowsAPlaceByItsOtherName) {
  const TempDir volume;
  volume.write("name", "volume\n");
  const std::string flag = volume.path() + ":";
  EXPECT_EQ(shell({"-v", flag + "/var/run/app:ro"}, "cat /run/app/name /var/run/app/name").out, "volume\nvolume\n");
  EXPECT_EQ(shell({"-v", flag + "/var/tmp/app:ro"}, "cat /tmp/app/name").out, "volume\n");
  expect_refusal(shell({"-v", flag + "/run/app", "-v", flag + "/var/run/app"}, "echo STARTED"), {"/run/app", "same place"});
  expect_refusal(shell({"-v", flag + "/var/run/secrets"}, "echo STARTED"), {"/run/secrets"});
  expect_refusal(shell({"-v", flag + "/var/run"}, "echo STARTED"), {"/run"});
  expect_refusal(shell({"-v", volume.file("name") + ":/etc/mtab:ro"}, "echo STARTED"), {"/proc/self/mounts"});
  expect_refusal(shell({"--secret", "s=" + volume.file("name") + ":/var/run/secrets/x"}, "echo STARTED"), {"/run/secrets"});
}

TEST_F(MountsContract, RefusesSecretsThatCoverEachOther) {
  const TempDir directory;
  const std::string file = directory.write("file", "secret", 0600);
  expect_refusal(shell({"--secret", "a=" + file + ":/opt/x", "--secret", "b=" + file + ":/opt/x/"}, "echo STARTED"),
                 {"two secrets at /opt/x"});
  expect_refusal(shell({"--secret", "a=" + file + ":/opt/x/y", "--secret", "b=" + file + ":/opt/x"}, "echo STARTED"),
                 {"'a'", "'b'", "/opt/x/y"});
}

TEST_F(MountsContract, NamesAMountPointThatAReadOnlyVolumeLacks) {
  const TempDir volume, inner;
  const Outcome got = shell({"-v", volume.path() + ":/data:ro", "-v", inner.path() + ":/data/missing"}, "echo STARTED");
  expect_refusal(got, {"/data/missing", "read-only"});
}

// The kernel says EINVAL of a directory on a file, and of a file on a directory.
TEST_F(MountsContract, NamesWhatDoesNotFitOnWhatLiesThere) {
  const TempDir volume, other, root;
  const std::string file = volume.write("name", "volume\n");
  fs::create_directory(other.file("directory"));
  other.write("file", "");
  make_busybox_root(root.path());
  const std::string directory = volume.path();
  expect_refusal(shell({"-v", directory + ":/etc/hostname"}, "echo STARTED"), {directory, "/etc/hostname", "is a file"});
  expect_refusal(shell({"-v", directory + ":/etc/hostname/x"}, "echo STARTED"), {directory, "/etc/hostname/x", "is a file"});
  expect_refusal(shell({"-v", file + ":/var"}, "echo STARTED"), {file, "/var", "is a directory"});
  expect_refusal(shell({"--rootfs", root.path(), "-v", directory + ":/etc/passwd"}, "echo STARTED"),
                 {directory, "/etc/passwd", "is a file"});
  expect_refusal(shell({"--rootfs", root.path(), "-v", file + ":/root"}, "echo STARTED"), {file, "/root", "is a directory"});
  expect_refusal(shell({"-v", other.path() + ":/data", "-v", directory + ":/data/file"}, "echo STARTED"),
                 {directory, "/data/file", "is a file"});
  expect_refusal(shell({"-v", other.path() + ":/data", "-v", file + ":/data/directory"}, "echo STARTED"),
                 {file, "/data/directory", "is a directory"});
  expect_refusal(shell({"--secret", "s=" + file + ":/tmp"}, "echo STARTED"), {"/tmp", "is a directory"});
  EXPECT_EQ(shell({"-v", file + ":/etc/hostname:ro"}, "cat /etc/hostname").out, "volume\n");
  EXPECT_EQ(shell({"--rootfs", root.path(), "-v", directory + ":/root:ro"}, "cat /root/name").out, "volume\n");
}

// runsc's configuration is JSON, where such bytes would silently be others, and the mount elsewhere.
TEST_F(MountsContract, PutBytesThatAreNotUtf8WhereTheyBelongOrSaySo) {
  const TempDir volume;
  volume.write("name", "volume\n", 0600);
  const std::string place = "/data\xff\xfe";
  const std::pair<Arguments, std::string> wishes[] = {
      {{"-v", volume.path() + ":" + place}, "cat " + place + "/name"},
      {{"--secret", "s=" + volume.file("name") + ":" + place}, "cat " + place},
      {{"-e", "HOME=" + place}, "echo volume > ~/x && cat " + place + "/x"},
  };
  for (const auto& [flags, script] : wishes) {
    const Outcome got = shell(flags, script);
    if (gvisor()) {
      expect_refusal(got, {place, "UTF-8"});
    } else {
      EXPECT_EQ(got.out, "volume\n") << got;
    }
  }
  const Outcome host = shell({"--hostname", "caf\xe9"}, "uname -n");
  if (gvisor()) {
    expect_refusal(host, {"caf\xe9", "UTF-8"});
  } else {
    EXPECT_EQ(host.out, "caf\xe9\n") << host;
  }
  // These do not stand in it: the source is a descriptor, and the rest goes through init.
  fs::create_directory(volume.file("\xfe"));
  std::ofstream(volume.file("\xfe/name")) << "deep\n";
  EXPECT_EQ(shell({"-v", volume.file("\xfe") + ":/data"}, "cat /data/name").out, "deep\n");
  EXPECT_EQ(shell({"-v", volume.path() + ":/data", "-w", "/data/\xfe"}, "cat name").out, "deep\n");
  EXPECT_EQ(run({"-e", "A=\xff\x80"}, {"/bin/sh", "-c", "printf %s \"$A$1\"", "sh", "\xfd"}).out, "\xff\x80\xfd");
  EXPECT_EQ(shell({"-v", volume.path() + ":/gr\xc3\xbc\xc3\x9f \n\t\x01"}, "cat '/gr\xc3\xbc\xc3\x9f \n\t\x01/name'").out,
            "volume\n");
}

// A document cannot say such bytes, so that one which --explain prints would ask for something else.
TEST_F(MountsContract, PrintsNoDocumentThatWouldAskForSomethingElse) {
  const TempDir volume;
  RunOptions explain = options({"-v", volume.path() + ":/data\xff"}, {"/bin/true"});
  explain.record = false;
  explain.arguments.insert(explain.arguments.begin() + 1, {"--explain", "--json"});
  expect_refusal(run_bailey(std::move(explain)), {"$.config.mounts[0].destination", "UTF-8"});
}

}  // namespace
}  // namespace bailey::tests
