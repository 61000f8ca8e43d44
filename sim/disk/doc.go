// Package disk is the file systems of one simulated machine: a vfs.FS in memory,
// of which it is known at each moment what would survive a power cut. It knows
// nothing of what is stored on it.
//
// # What is durable when
//
// The content of a file is durable when Sync or SyncData returned: all that was
// written before the call began, and the size with it. What is written while a sync
// runs is not. SyncTo queues and promises nothing, as sync_file_range does.
// Preallocate takes space from the capacity and changes neither size nor content.
// A name is durable when its directory was synced after it was made; a sync of the
// file does not make its name so, nor does a sync of a directory make the directory's
// own name so. A rename is one change, also between directories: a sync of either
// makes the whole of it durable, with all that it rests on. Of the changes of
// directories only the newest 4096 of a volume wait for a sync: the oldest are then
// written, as by a journal that is full.
//
// # The fault model
//
// A cut (Cut) leaves of what is not durable an arbitrary part: each block of 4 KiB
// as it was, as it is, torn at the sectors of 512 B, or with garbage in the bytes
// that were being changed (bytes outside of those are safe); each file's size as it
// was, as it is, or at a block between; each change of a directory for itself,
// unlinks and renames among them. A block that is absent below the size reads as zeros.
// Between the two moments of a block, before and now, there are no others: what was
// overwritten between two syncs is never seen again.
//
// Faults strike one operation by chance (Rule) or a whole volume from then on (the
// methods of Volume); the kinds are named in fault.go with their ids. A sync that
// fails does what Linux does: the pages count as clean, read as they were written,
// and are lost with the next cut, whatever later syncs say.
//
// Rot and misdirected writes strike the stored bytes, both as they are read now and
// as they are durable. Latency is slept outside of all locks.
//
// The same seed and the same operations in the same order leave the same disk. Calls
// from several goroutines are safe, and then nothing is promised of their order.
// Times of modification are not kept.
package disk
