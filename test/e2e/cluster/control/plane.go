package control

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jindo-io/jindo/test/e2e/cluster/machine"
	"github.com/jindo-io/jindo/test/e2e/cluster/state"
)

// plane starts etcd, the API server and its clients.
func (c *cluster) plane(ctx context.Context) error {
	if err := os.WriteFile(c.pki("audit.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	first := []machine.Program{c.etcd(), c.apiserver()}
	for _, program := range first {
		if err := c.keeper.Keep(ctx, program); err != nil {
			return err
		}
	}
	go forward(ctx, c.Listeners[0], net.JoinHostPort(state.Bridge, strconv.Itoa(state.APIPort)))
	api, err := newAPI(c.Layout.PKI())
	if err != nil {
		return err
	}
	if err := api.wait(ctx, "the API server", api.ready); err != nil {
		return fmt.Errorf("%w (see %s)", err, filepath.Join(c.Layout.Logs(), "apiserver.log"))
	}
	corefile := filepath.Join(c.Layout.PKI(), "Corefile")
	if err := os.WriteFile(corefile, []byte(c.corefile()), 0o644); err != nil {
		return err
	}
	for _, program := range []machine.Program{c.manager(), c.scheduler(), {Name: "coredns", Path: c.Programs.CoreDNS, Args: []string{"-conf", corefile}}} {
		if err := c.keeper.Keep(ctx, program); err != nil {
			return err
		}
	}
	return c.apply(ctx)
}

func (c *cluster) pki(name string) string { return filepath.Join(c.Layout.PKI(), name) }

// etcd does not sync to disk: its data need not survive the machine.
func (c *cluster) etcd() machine.Program {
	const clients, peers = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
	return machine.Program{Name: "etcd", Path: filepath.Join(c.Programs.Kube, "etcd"), Args: []string{
		"--name=cluster", "--data-dir=" + c.Layout.Etcd(), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=" + clients, "--advertise-client-urls=" + clients,
		"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=cluster=" + peers,
	}}
}

// auditPolicy records what the accounts of the product request, without the content.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, Panic]
rules:
  - {level: Metadata, userGroups: ["system:serviceaccounts:fluid-system"]}
  - {level: None}
`

// frontProxy is the name with which the API server calls API servers of others.
const frontProxy = "front-proxy-client"

// Aggregator routing makes the server dial webhooks and Services at their
// endpoints: no kube-proxy runs beside it. Kubelets are dialled by address because
// their names are not resolvable.
func (c *cluster) apiserver() machine.Program {
	return machine.Program{Name: "apiserver", Path: filepath.Join(c.Programs.Kube, "kube-apiserver"), Args: []string{
		"--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address=" + state.Bridge, "--bind-address=0.0.0.0", "--secure-port=" + strconv.Itoa(state.APIPort),
		"--service-cluster-ip-range=" + state.Services,
		"--cert-dir=" + c.Layout.PKI(), "--client-ca-file=" + c.pki("ca.crt"),
		"--tls-cert-file=" + c.pki("apiserver.crt"), "--tls-private-key-file=" + c.pki("apiserver.key"),
		"--kubelet-client-certificate=" + c.pki("apiserver-kubelet.crt"), "--kubelet-client-key=" + c.pki("apiserver-kubelet.key"),
		"--kubelet-certificate-authority=" + c.pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.pki("sa.pub"), "--service-account-signing-key-file=" + c.pki("sa.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--audit-policy-file=" + c.pki("audit.yaml"), "--audit-log-path=" + c.Layout.Audit(), "--audit-log-mode=batch",
		"--allow-privileged=true", "--enable-aggregator-routing=true",
		// For API servers of others, such as the metrics server.
		"--requestheader-client-ca-file=" + c.pki("ca.crt"), "--requestheader-allowed-names=" + frontProxy,
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.pki("front-proxy.crt"), "--proxy-client-key-file=" + c.pki("front-proxy.key"),
	}}
}

// The node monitor grace period is short, so that the loss of a node is detected
// soon, but longer than the delays of nodes on a machine that is compiling.
func (c *cluster) manager() machine.Program {
	kubeconfig := c.pki("controller-manager.kubeconfig")
	return machine.Program{Name: "controller-manager", Path: filepath.Join(c.Programs.Kube, "kube-controller-manager"), Args: []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", "--leader-elect=false",
		"--service-account-private-key-file=" + c.pki("sa.key"), "--root-ca-file=" + c.pki("ca.crt"),
		"--cluster-signing-cert-file=" + c.pki("ca.crt"), "--cluster-signing-key-file=" + c.pki("ca.key"),
		"--use-service-account-credentials=true", "--cluster-cidr=" + state.Pods,
		"--node-monitor-period=2s", "--node-monitor-grace-period=40s",
	}}
}

func (c *cluster) scheduler() machine.Program {
	kubeconfig := c.pki("scheduler.kubeconfig")
	return machine.Program{Name: "scheduler", Path: filepath.Join(c.Programs.Kube, "kube-scheduler"), Args: []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", "--leader-elect=false",
	}}
}

func (c *cluster) corefile() string {
	return fmt.Sprintf(`.:53 {
    errors
    health 127.0.0.1:8080
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig %s
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }
    cache 5
}
`, c.pki("dns.kubeconfig"))
}

// forward copies connections accepted on l, outside the cluster's network, to an
// address inside it.
func forward(ctx context.Context, l net.Listener, to string) {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = from.Close() }()
			var dialer net.Dialer
			inner, err := dialer.DialContext(ctx, "tcp", to)
			if err != nil {
				return
			}
			defer func() { _ = inner.Close() }()
			go func() {
				_, _ = io.Copy(inner, from)
				if half, ok := inner.(*net.TCPConn); ok {
					_ = half.CloseWrite()
				}
			}()
			_, _ = io.Copy(from, inner)
		}()
	}
}
