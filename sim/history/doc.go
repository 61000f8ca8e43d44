// Package history holds what clients asked of a store and what they were answered,
// and judges it: every key must behave as if its requests came one after the other,
// each between its call and its return (Herlihy and Wing, 1990; the search is
// porcupine's). It knows nothing of how the requests were made.
//
// A request without an answer, or with one that leaves its outcome open (5xx), may
// have taken effect once at any time after its call, or never.
package history
