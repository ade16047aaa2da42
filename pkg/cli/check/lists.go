package check

// beforeInstall returns the checks of the requirements of an installation.
func beforeInstall() []category {
	return []category{
		{"kubernetes", []checker{
			{name: "api-server", fatal: true, run: apiServer},
			{name: "native-sidecars", run: nativeSidecars},
			{name: "node-kernels", run: nodeKernels},
			{name: "virtual-nodes", run: virtualNodes},
			{name: "default-storage-class", run: defaultStorageClass},
		}},
		{"permissions", []checker{{name: "rights-to-install", run: rightsToInstall}}},
		{"install", []checker{
			{name: "fluid-beside", run: fluidBeside},
			{name: "pod-security", run: podSecurity},
		}},
	}
}

// afterInstall returns the checks of an installation, and of a Dataset unless it is
// "".
func afterInstall(dataset string) []category {
	categories := []category{
		{"kubernetes", []checker{
			{name: "api-server", fatal: true, run: apiServer},
			{name: "native-sidecars", run: nativeSidecars},
			{name: "node-kernels", run: nodeKernels},
			{name: "virtual-nodes", run: virtualNodes},
		}},
		{"permissions", []checker{{name: "rights", run: rightsToUse}}},
		{"install", []checker{{name: "installed", fatal: true, run: installed}}},
		{"install", []checker{
			{name: "crds", run: definitions},
			{name: "controllers", run: controllers},
			{name: "leases", run: leases},
			{name: "node-plugin", run: nodePlugin},
			{name: "csi-driver", run: csiDriver},
			{name: "versions", run: versions},
			{name: "fluid-beside", run: fluidBeside},
		}},
		{"webhook", []checker{
			{name: "webhook-pods", run: webhookPods},
			{name: "webhook-configuration", run: webhookConfiguration},
			{name: "webhook-certificate", run: webhookCertificate},
			{name: "injection", run: injection},
			{name: "refusal", run: refusesInvalid},
			{name: "sidecar-policy", run: sidecarPolicy},
		}},
	}
	if dataset == "" {
		return categories
	}
	return append(categories, category{"dataset/" + dataset, []checker{
		{name: "dataset", run: datasetPhase},
		{name: "runtime", run: runtimePhases},
		{name: "quorum", run: quorum},
		{name: "workers", run: workersLive},
		{name: "certificates", run: certificates},
		{name: "credentials", run: credentials},
		{name: "bucket", run: bucket},
		{name: "claim", run: claimBound},
		{name: "mounts", run: staleMounts},
	}})
}
