// Package runtime reconciles JindoRuntimes on Kubernetes and reports their state.
//
// Guarantees:
//
//   - Everything that a pass changes is derived from the effective spec in the status,
//     which is validated in every pass. What users declare is read only to plan the next
//     effective spec.
//   - A controller that is stopped at any point continues with the same effective spec
//     and the same step of its transition.
//   - A transition replaces pods one at a time. Pods that serve are replaced only while
//     the others of their role serve, and a leader only after it has given up its
//     leadership.
//   - An invalid spec is reported in the condition SpecValid and in an event. What runs
//     is served on, and other runtimes are not affected.
//   - The cluster id is created once, and written to the status before any object
//     that depends on it is created.
//   - It is the only writer of JindoRuntime.status. Usage figures change at most
//     every 30 seconds and only if their printed values change; an idle runtime
//     causes no writes.
//   - Requests to masters have timeouts, and any available master can serve them.
//   - An upgrade of the controllers restarts no pods unless it is requested. A change
//     that running pods cannot adopt is not applied partially: a condition reports it.
package runtime
