// Package sabotage is the list of wrong changes that the tests must find. Each is
// one line in production code, at the place where a careless engineer would have
// made the mistake:
//
//	if sabotage.On(sabotage.X15) { … }
//
// Without the build tag "sabotage" On is a constant false, and the compiler removes
// the line. With it, On is true for the one id that the environment variable
// IRONMAN_SABOTAGE names.
//
// The package knows the ids and what they mean. What finds them is for the runner
// beside it (run) to know; what the code around a line does, for nobody here.
//
// Ids are stable: never numbered anew, only appended.
package sabotage
