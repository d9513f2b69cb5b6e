#include "model/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <random>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace ravine {
namespace {

constexpr std::string_view temporary_prefix = ".ravine-", temporary_suffix = ".tmp";
constexpr std::size_t temporary_digits = 16;
constexpr int max_links = 40;  // Linux's own limit

[[noreturn]] void refuse(const std::string& path) { throw OSError(errno, path); }

void check_path(const std::string& path) {
  if (path.empty()) throw OSError(ENOENT, path);
  check<ValueError>(path.find('\0') == std::string::npos, "the path '", path.substr(0, path.find('\0')),
                    "...' has a null character");
}

const char* kind_of(mode_t mode) {
  if (S_ISFIFO(mode)) return "a named pipe (FIFO)";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISBLK(mode)) return "a block device";
  return "a special file";
}

void check_regular(const struct stat& status, const std::string& path) {
  if (S_ISDIR(status.st_mode)) throw OSError(EISDIR, path);
  check<ValueError>(S_ISREG(status.st_mode), "'", path, "' is ", kind_of(status.st_mode),
                    ", expected a regular file");
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// Whether the open file still has this name.
bool is_at(int descriptor, const std::string& path) {
  struct stat opened, named;
  return ::fstat(descriptor, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 && same_file(opened, named);
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The file that a chain of symbolic links leads to; it need not exist.
std::string follow_links(const std::string& path) {
  std::string target = path;
  for (int links = 0;; ++links) {
    if (links > max_links) throw OSError(ELOOP, path);
    std::array<char, 4096> buffer;  // PATH_MAX
    const ssize_t length = ::readlink(target.c_str(), buffer.data(), buffer.size());
    if (length < 0 && (errno == EINVAL || errno == ENOENT)) return target;  // no link; nothing yet
    if (length < 0) refuse(path);
    const std::string next(buffer.data(), static_cast<std::size_t>(length));
    target = next.starts_with('/') ? next : folder_of(target) + "/" + next;
  }
}

bool is_temporary_name(std::string_view name) {
  if (name.size() != temporary_prefix.size() + temporary_digits + temporary_suffix.size()) return false;
  if (!name.starts_with(temporary_prefix) || !name.ends_with(temporary_suffix)) return false;
  return name.substr(temporary_prefix.size(), temporary_digits).find_first_not_of("0123456789abcdef") ==
         std::string_view::npos;
}

std::string random_temporary_name() {
  std::random_device device;
  std::array<char, temporary_digits + 1> digits;
  std::snprintf(digits.data(), digits.size(), "%08x%08x", device(), device());
  return std::string(temporary_prefix) + digits.data() + std::string(temporary_suffix);
}

// Removes temporary files whose writers are dead: the system released their locks. What cannot be opened, or
// is locked, or lies where files cannot be locked, stays.
void remove_abandoned(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(folder.c_str()), ::closedir);
  if (!listing) return;
  while (const dirent* entry = ::readdir(listing.get())) {
    if (!is_temporary_name(entry->d_name)) continue;
    const std::string path = folder + "/" + entry->d_name;
    const Descriptor file(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
    if (!file.is_open() || ::flock(*file, LOCK_EX | LOCK_NB) != 0) continue;
    struct stat status;
    if (::fstat(*file, &status) == 0 && S_ISREG(status.st_mode) && is_at(*file, path)) ::unlink(path.c_str());
  }
}

}  // namespace

// ---- descriptors

Descriptor::Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

Descriptor::~Descriptor() {
  if (is_open()) ::close(number_);
}

// ---- reading

SourceFile::SourceFile(const std::string& path) : path_(path), descriptor_(-1), size_(0) {
  check_path(path);
  // Opening a pipe would wait for its writer.
  descriptor_ = Descriptor(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status;
  if (!descriptor_.is_open()) {
    // A socket cannot be opened at all; that it is one says more than the system's "no such device".
    const int reason = errno;
    if (reason == ENXIO && ::stat(path.c_str(), &status) == 0) check_regular(status, path);
    throw OSError(reason, path);
  }
  if (::fstat(*descriptor_, &status) != 0) refuse(path);
  check_regular(status, path);
  size_ = static_cast<std::uint64_t>(status.st_size);
}

void SourceFile::read_at(std::uint64_t offset, std::byte* to, std::size_t count) const {
  while (count > 0) {
    const ssize_t got = ::pread(*descriptor_, to, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse(path_);
    check<ValueError>(got > 0, "'", path_, "' became shorter while it was read");
    to += got;
    offset += static_cast<std::uint64_t>(got);
    count -= static_cast<std::size_t>(got);
  }
}

// ---- writing

ReplacementFile::ReplacementFile(const std::string& path) : path_(path) {
  check_path(path);
  target_ = follow_links(path);
  folder_ = folder_of(target_);
  struct stat old;
  const bool replaces = ::stat(target_.c_str(), &old) == 0;
  if (replaces) check_regular(old, path);
  else if (errno != ENOENT) refuse(path);
  if (target_.ends_with('/')) throw OSError(EISDIR, path);

  remove_abandoned(folder_);
  // Nobody else may open what replaces a secret, not even before it has content.
  create_temporary(replaces ? 0600 : 0666);
  if (!replaces) return;
  // The owner first: it is the system's right to take permissions from a file whose owner changes. Only a
  // privileged process may give a file away; anybody else's replacement is their own.
  [[maybe_unused]] const int given_away = ::fchown(*descriptor_, old.st_uid, old.st_gid);
  if (::fchmod(*descriptor_, old.st_mode & 07777) != 0) {
    const int reason = errno;
    ::unlink(temporary_.c_str());
    throw OSError(reason, path);
  }
}

void ReplacementFile::create_temporary(mode_t mode) {
  for (;;) {
    temporary_ = folder_ + "/" + random_temporary_name();
    descriptor_ = Descriptor(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (!descriptor_.is_open() && errno == EEXIST) continue;
    if (!descriptor_.is_open()) refuse(path_);
    // Another writer may have taken the file for an abandoned one before it was locked: it holds the lock
    // then, or has removed the name.
    const bool locked = ::flock(*descriptor_, LOCK_EX | LOCK_NB) == 0;
    const bool taken = !locked && errno == EWOULDBLOCK;
    if (!taken && is_at(*descriptor_, temporary_)) return;
  }
}

ReplacementFile::~ReplacementFile() {
  if (descriptor_.is_open()) ::unlink(temporary_.c_str());
}

void ReplacementFile::write(const void* from, std::size_t count) {
  const char* next = static_cast<const char*>(from);
  while (count > 0) {
    const ssize_t put = ::write(*descriptor_, next, count);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) refuse(path_);
    next += put;
    count -= static_cast<std::size_t>(put);
  }
}

void ReplacementFile::commit() {
  if (::fsync(*descriptor_) != 0) refuse(path_);
  // Renamed while it is locked, so that at no time it looks abandoned.
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) refuse(path_);
  descriptor_ = Descriptor(-1);
  sync_folder();
}

void ReplacementFile::sync_folder() const {
  const Descriptor folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open()) return;  // a folder that may be written but not listed
  if (::fsync(*folder) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS) refuse(path_);
}

}  // namespace ravine
