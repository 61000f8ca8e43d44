package sabotage

// ID names a wrong change.
type ID string

// Variable is the environment variable that chooses one.
const Variable = "IRONMAN_SABOTAGE"

// Reached begins the line on standard error by which a process says that it came to
// the chosen change.
const Reached = "sabotage in effect: "

// The wrong changes. What they mean is in List.
const (
	X01 ID = "X01"
	X02 ID = "X02"
	X03 ID = "X03"
	X04 ID = "X04"
	X05 ID = "X05"
	X06 ID = "X06"
	X07 ID = "X07"
	X08 ID = "X08"
	X09 ID = "X09"
	X10 ID = "X10"
	X11 ID = "X11"
	X12 ID = "X12"
	X13 ID = "X13"
	X14 ID = "X14"
	X15 ID = "X15"
	X16 ID = "X16"
	X17 ID = "X17"
	X18 ID = "X18"
	X19 ID = "X19"
	X20 ID = "X20"
	X21 ID = "X21"
	X22 ID = "X22"
	X23 ID = "X23"
	X24 ID = "X24"
	X25 ID = "X25"
	X26 ID = "X26"
	X27 ID = "X27"
	X28 ID = "X28"
	X29 ID = "X29"
	X30 ID = "X30"
	X31 ID = "X31"
	X32 ID = "X32"
	X33 ID = "X33"
	X34 ID = "X34"
	X35 ID = "X35"
	X36 ID = "X36"
	X37 ID = "X37"
	X38 ID = "X38"
	X39 ID = "X39"
	X40 ID = "X40"
	X41 ID = "X41"
	X42 ID = "X42"
	X43 ID = "X43"
	X44 ID = "X44"
	X45 ID = "X45"
	X46 ID = "X46"
	X47 ID = "X47"
	X48 ID = "X48"
	X49 ID = "X49"
	X50 ID = "X50"
	X51 ID = "X51"
	X52 ID = "X52"
	X53 ID = "X53"
	X54 ID = "X54"
	X55 ID = "X55"
	X56 ID = "X56"
	X57 ID = "X57"
	X58 ID = "X58"
	X59 ID = "X59"
	X60 ID = "X60"
	X61 ID = "X61"
	X62 ID = "X62"
	X63 ID = "X63"
	X64 ID = "X64"
	X65 ID = "X65"
	X66 ID = "X66"
	X67 ID = "X67"
	X68 ID = "X68"
	X69 ID = "X69"
	X70 ID = "X70"
	X71 ID = "X71"
	X72 ID = "X72"
	X73 ID = "X73"
	X74 ID = "X74"
	X75 ID = "X75"
)

// Sabotage is one wrong change.
type Sabotage struct {
	ID   ID
	What string
	// Waits is the feature that does not exist yet; "": the change is in the code.
	Waits string
}

// Find returns one of the list.
func Find(id ID) (Sabotage, bool) {
	for _, s := range List() {
		if s.ID == id {
			return s, true
		}
	}
	return Sabotage{}, false
}

// List returns all, in the order of their ids.
func List() []Sabotage {
	return []Sabotage{
		{X01, "the log's sync before an append is acknowledged is left out", ""},
		{X02, "the directory is not synced after a log segment was made", ""},
		{X03, "the leader counts a follower that it cannot reach as one that has the entries", ""},
		{X04, "a PUT counts when k shards are durable, not k and the tolerance", ""},
		{X05, "a PUT's event is proposed before its shards are synced", ""},
		{X06, "a blob's row names two of its shards the wrong way round", ""},
		{X07, "the disk's id is left out of a cell's checksum", ""},
		{X08, "a reader takes a shard of an older generation", ""},
		{X09, "a stripe's digest is not verified after it was reconstructed", ""},
		{X10, "a sync of the log that failed is tried again, and then believed", ""},
		{X11, "a bad frame in the middle of the log is taken for a torn tail", ""},
		{X12, "the log takes entries behind a gap", ""},
		{X13, "a truncated suffix of the log is not durable before the next append", ""},
		{X14, "term and vote are remembered, but not written", ""},
		{X15, "the state machine applies entries again that it has applied", ""},
		{X16, "the applied index is written in another batch than the rows", ""},
		{X17, "a snapshot is published before the state is flushed", ""},
		{X18, "a start does not compare the state with the newest snapshot", ""},
		{X19, "a snapshot is installed although it is older than the state, or the log goes on from it (T-2)", ""},
		{X20, "heartbeats have a path past raft's main loop (hashicorp/raft#695, T-1)", ""},
		{X21, "If-None-Match is judged before the proposal only, not in apply", ""},
		{X22, "If-Match of a completed upload is not judged in apply", ""},
		{X23, "reads are served without a read index, by any node", ""},
		{X24, "a new leader serves reads before an entry of its term is applied", ""},
		{X25, "an abandoned blob is not fenced: a late event may still name it", ""},
		{X26, "apply believes a node that a pack holds nothing live, whatever the rows say", ""},
		{X27, "a blob without references may be released at once, without the grace", ""},
		{X28, "healing drops the old generation before the new place is committed", "healing"},
		{X29, "healing does not verify the shards it reads", "healing"},
		{X30, "packs that no row names are unlinked without an event", ""},
		{X31, "an empty mount point is taken for an empty disk", ""},
		{X32, "more shards of a stripe are placed on one node than may be lost", ""},
		{X33, "a listing goes on at the last key instead of behind it", ""},
		{X34, "the second half of a listing's page is of a later moment", ""},
		{X35, "a common prefix at the border of two pages is dropped", ""},
		{X36, "apply reads the wall clock", ""},
		{X37, "the order of a map reaches the rows", ""},
		{X38, "log time is the proposer's, even if it runs backwards", ""},
		{X39, "retention is judged by the local wall clock", ""},
		{X40, "a request's id is not remembered: one that is tried again is applied twice", ""},
		{X41, "a body that fails in the middle ends as if it were whole", ""},
		{X42, "an event that is refused leaves its writes", ""},
		{X43, "a proposal of a leader that lost its leadership is said not to be done", ""},
		{X44, "a delete marker is not written where a versioned delete races an overwrite", ""},
		{X45, "the reserve of free space is used by PUT as well", ""},
		{X46, "buffers of a PUT whose client went away are not given back", ""},
		{X47, "a node whose log is gone goes on under its name", ""},
		{X48, "a node that was set back to an old backup may start", ""},
		{X49, "an empty log takes any entry as its first (T-2)", ""},
		{X50, "files of the log go before their entries stand in the archive", ""},
		{X51, "a copy takes no reference to the body it shares", ""},
		{X52, "a log that a snapshot overtook is not emptied by the start (T-3)", ""},
		{X53, "a log that diverged from the snapshot that was installed is kept (hashicorp/raft#697, T-5)", ""},
		{X54, "the log does not know the term of the entry below its first (hashicorp/raft#697, T-5)", ""},
		{X55, "raft deletes acknowledged entries behind a snapshot that was not needed (T-2)", ""},
		{X56, "replication is pipelined (hashicorp/raft#612, T-8)", ""},
		{X57, "a leader that can commit nothing stays (hashicorp/raft#696, T-8)", ""},
		{X58, "a log whose disk hangs waits for it for ever (hashicorp/raft#503, T-6)", ""},
		{X59, "a released pack is not marked: a late event may still name a shard in it", ""},
		{X60, "a voter refuses a candidate of whose promotion it has not heard", ""},
		{X61, "a request is judged by what its node knows, without a read index", ""},
		{X62, "the directory of a disk's packs stays open when the disk is closed", ""},
		{X63, "what collects packs goes on when its node is closed", ""},
		{X64, "a transaction leaves out what is refused, and does the rest", ""},
		{X65, "a restore takes what a key was behind the next event", ""},
		{X66, "what a bucket must keep is judged by the cluster's retention, in apply", ""},
		{X67, "a bucket's history is trimmed by the cluster's retention", ""},
		{X68, "an erasure leaves the newest file of the log", ""},
		{X69, "an erasure leaves the state's old tables", ""},
		{X70, "an erasure leaves what the ledger's files have", ""},
		{X71, "a stream of the feed goes on behind the next event, when its reader comes back", ""},
		{X72, "a read of the past finds what is there now", ""},
		{X73, "a cursor is moved from wherever it stands", ""},
		{X74, "a clock is trusted for a while after it was set", ""},
		{X75, "an answer of the feed says to go on behind the next event", ""},
	}
}
