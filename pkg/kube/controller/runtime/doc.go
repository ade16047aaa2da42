// Package runtime reconciles JindoRuntimes on Kubernetes and reports their state.
//
// Guarantees:
//
//   - An invalid spec is reported in the condition SpecValid and in an event. The
//     objects of the runtime are not changed, and other runtimes are not affected.
//   - The cluster id is created once, and written to the status before any object
//     that depends on it is created.
//   - It is the only writer of JindoRuntime.status. Usage figures change at most
//     every 30 seconds and only if their printed values change; an idle runtime
//     causes no writes.
//   - Requests to masters have timeouts, and any available master can serve them.
//   - An upgrade of the controllers restarts no pods. A change that running pods
//     cannot adopt is not applied partially: a condition reports it.
package runtime
