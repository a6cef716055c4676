// A new cluster: a small system pool, and the pool that BLAST runs on. Only Entra identities get in, nothing scales by
// itself, and the product starts and stops it.
param name string
param location string
param tags object
param networkName string
param nodesSubnetName string

@description('Empty: the default version of the region.')
param kubernetesVersion string

param systemNodeSize string

@minValue(1)
param systemNodeCount int

param blastNodeSize string

@minValue(1)
param blastNodeCount int

@allowed(['Managed', 'Ephemeral'])
param blastDiskType string

@minValue(64)
@description('GB. Databases lie on this disk, in /workspace/blast.')
param blastDiskGB int

var roles = loadJsonContent('../roles.json')

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' existing = {
  name: networkName

  resource nodes 'subnets' existing = {
    name: nodesSubnetName
  }
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-${name}'
  location: location
  tags: tags
}

// The cluster puts its nodes and their load balancer into this subnet.
resource joinsSubnet 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(network::nodes.id, identity.id, roles.networkContributor)
  scope: network::nodes
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.networkContributor)
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource cluster 'Microsoft.ContainerService/managedClusters@2025-05-01' = {
  name: name
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    dnsPrefix: name
    kubernetesVersion: empty(kubernetesVersion) ? null : kubernetesVersion
    enableRBAC: true
    disableLocalAccounts: true
    aadProfile: {
      managed: true
      enableAzureRBAC: true
      tenantID: tenant().tenantId
    }
    networkProfile: {
      networkPlugin: 'azure'
      networkPluginMode: 'overlay'
      loadBalancerSku: 'standard'
      outboundType: 'loadBalancer'
    }
    agentPoolProfiles: [
      {
        name: 'system'
        mode: 'System'
        type: 'VirtualMachineScaleSets'
        osType: 'Linux'
        vmSize: systemNodeSize
        count: systemNodeCount
        enableAutoScaling: false
        vnetSubnetID: network::nodes.id
        nodeTaints: ['CriticalAddonsOnly=true:NoSchedule']
      }
      {
        name: 'blast'
        mode: 'User'
        type: 'VirtualMachineScaleSets'
        osType: 'Linux'
        vmSize: blastNodeSize
        count: blastNodeCount
        enableAutoScaling: false
        osDiskType: blastDiskType
        osDiskSizeGB: blastDiskGB
        vnetSubnetID: network::nodes.id
        nodeLabels: { workload: 'blast' }
        nodeTaints: ['workload=blast:NoSchedule']
      }
    ]
  }
  dependsOn: [joinsSubnet]
}

output name string = cluster.name
