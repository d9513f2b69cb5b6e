// Files as a careful guest treats them: reading never waits for anybody, and a file that is written appears
// whole or not at all. OSError with the path where the system refuses.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace ravine {

// An open file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int operator*() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_;
};

// A regular file, open for reading. ValueError for what is none (a pipe, a device, a socket), OSError for a
// folder.
class SourceFile {
 public:
  explicit SourceFile(const std::string& path);

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }  // when it was opened

  // ValueError where the file has become shorter in the meantime.
  void read_at(std::uint64_t offset, std::byte* to, std::size_t count) const;

 private:
  std::string path_;
  Descriptor descriptor_;
  std::uint64_t size_;
};

// The new content of the file at `path`: written to a temporary file in the same folder, which takes the
// place of the old one in `commit`, and is removed if that is not reached.
//
// A symbolic link stays, and its target is replaced. The mode of an existing file is kept, and its owner
// where the system allows it. ValueError, before anything is written, where a pipe, device or socket is in
// its place.
//
// The temporary file has a name of its own (".ravine-<16 random hex digits>.tmp") and is locked with flock
// while its writer lives. So writers that were killed are told from those at work, and what they left in the
// folder is removed by the next one.
class ReplacementFile {
 public:
  explicit ReplacementFile(const std::string& path);
  ~ReplacementFile();
  ReplacementFile(const ReplacementFile&) = delete;
  ReplacementFile& operator=(const ReplacementFile&) = delete;

  void write(const void* from, std::size_t count);
  // Content and name are on the disk when this returns.
  void commit();

 private:
  void create_temporary(mode_t mode);
  void sync_folder() const;

  std::string path_;    // as given, for errors
  std::string target_;  // where the links lead
  std::string folder_, temporary_;
  Descriptor descriptor_{-1};
};

}  // namespace ravine
