// Package runtime carries JindoRuntimes out on Kubernetes and says truthfully
// how they are.
//
// What it promises:
//
//   - A runtime whose spec is refused says so in the condition SpecValid and in
//     an event, and nothing of it is touched; other runtimes do not wait for it.
//   - The identity of a cluster is written into status before anything that
//     depends on it is made, and is minted once.
//   - It is the one writer of JindoRuntime.status. Figures change at most every
//     30 seconds and only when what is printed changes; an idle runtime writes
//     nothing.
//   - It asks any living master, with deadlines, and never waits for one that
//     is dead.
//   - No pod is restarted because the controllers are upgraded. What running
//     pods cannot follow is not done by halves: a condition says what is left.
package runtime
