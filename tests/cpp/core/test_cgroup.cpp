#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/cgroup.h"

namespace ravine::testing {
namespace {

namespace fs = std::filesystem;

// A made-up root folder.
class Cgroup : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "cgroup-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    const fs::path file = root_ + path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }
  void process(const std::string& groups, const std::string& mounts) {
    write("/proc/self/cgroup", groups);
    write("/proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mounts);
  }
  double quota() const { return cgroup_cpu_quota(root_); }

  std::string root_;
};

const std::string unified = "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
const std::string version1 = "33 22 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";

TEST_F(Cgroup, NoneWithoutFilesOrLimits) {
  EXPECT_EQ(quota(), 0);
  process("0::/user.slice", unified);
  EXPECT_EQ(quota(), 0);
  write("/sys/fs/cgroup/user.slice/cpu.max", "max 100000");
  EXPECT_EQ(quota(), 0);
}

TEST_F(Cgroup, Version2OfAServiceWithCPUQuota) {
  process("0::/system.slice/train.service", unified);
  write("/sys/fs/cgroup/system.slice/train.service/cpu.max", "150000 100000");
  write("/sys/fs/cgroup/cpu.max", "50000 100000");  // the root's own, which holds for all
  EXPECT_EQ(quota(), 0.5);
  write("/sys/fs/cgroup/cpu.max", "max 100000");
  EXPECT_EQ(quota(), 1.5);
}

TEST_F(Cgroup, TheSmallestOfAllGroupsAround) {
  process("0::/a/b/c", unified);
  write("/sys/fs/cgroup/a/cpu.max", "200000 100000");
  write("/sys/fs/cgroup/a/b/cpu.max", "40000 20000");
  write("/sys/fs/cgroup/a/b/c/cpu.max", "600000 100000");
  EXPECT_EQ(quota(), 2);
  write("/sys/fs/cgroup/a/b/cpu.max", "25000 100000");
  EXPECT_EQ(quota(), 0.25);
  write("/sys/fs/cgroup/a/other/cpu.max", "10000 100000");  // not around the process
  EXPECT_EQ(quota(), 0.25);
}

TEST_F(Cgroup, Version1) {
  process("5:cpu,cpuacct:/batch/job\n3:cpuset:/elsewhere\n0::/", version1);
  write("/sys/fs/cgroup/cpu,cpuacct/batch/job/cpu.cfs_quota_us", "-1");
  write("/sys/fs/cgroup/cpu,cpuacct/batch/job/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota(), 0);
  write("/sys/fs/cgroup/cpu,cpuacct/batch/cpu.cfs_quota_us", "300000");
  write("/sys/fs/cgroup/cpu,cpuacct/batch/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota(), 3);
}

TEST_F(Cgroup, AContainerWhoseGroupIsTheMount) {
  process("4:cpu:/docker/abc/worker", "40 22 0:30 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu");
  write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000");
  write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota(), 2.5);
  write("/sys/fs/cgroup/cpu/worker/cpu.cfs_quota_us", "100000");
  write("/sys/fs/cgroup/cpu/worker/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota(), 1);
  // "/docker/abcd" is not inside of "/docker/abc", and what lies outside cannot be seen.
  write("/proc/self/cgroup", "4:cpu:/docker/abcd/worker");
  EXPECT_EQ(quota(), 2.5);
  write("/proc/self/cgroup", "4:cpu:/../other");
  EXPECT_EQ(quota(), 2.5);
}

TEST_F(Cgroup, BothVersionsAndNamesWithSpaces) {
  process("4:cpu:/old\n0::/new group",
          version1 + "\n30 22 0:26 / /sys/fs/cgroup/my\\040unified rw - cgroup2 cgroup2 rw");
  write("/sys/fs/cgroup/cpu,cpuacct/old/cpu.cfs_quota_us", "400000");
  write("/sys/fs/cgroup/cpu,cpuacct/old/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota(), 4);
  write("/sys/fs/cgroup/my unified/new group/cpu.max", "300000 100000");
  EXPECT_EQ(quota(), 3);
}

TEST_F(Cgroup, NonsenseIsNoLimit) {
  process("0::/a\nnonsense\n::", unified + "\nnonsense - \n - cgroup2\n1 2 3");
  for (const char* text : {"", "x y", "100000", "-5 100000", "100000 0"}) {
    write("/sys/fs/cgroup/a/cpu.max", text);
    EXPECT_EQ(quota(), 0) << text;
  }
}

}  // namespace
}  // namespace ravine::testing
