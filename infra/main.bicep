// Everything that runs on Azure, in one resource group. docs/azure.md says what each part is for.
targetScope = 'subscription'

@minLength(1)
@maxLength(32)
@description('Names the deployment: azd puts its environment\'s name here.')
param environmentName string

@minLength(1)
param location string

@description('Empty: rg-<environment>. With an existing cluster it must be the cluster\'s own group.')
param resourceGroupName string = ''

@allowed(['easyauth', 'jwt'])
@description('easyauth: people sign in on the page. jwt: every request brings a bearer token.')
param authMode string = 'easyauth'

@minLength(36)
@description('Client id of the app registration that people sign in with.')
param authClientId string

@description('Empty: the tenant of the subscription.')
param authTenantId string = ''

@secure()
@minLength(32)
param callbackSecret string

@secure()
@description('Empty: webhooks are off.')
param webhookSecret string = ''

@allowed(['AzureStorage', 'DurableTaskScheduler'])
param durableBackend string = 'AzureStorage'

@minValue(0)
param alwaysReadyDurable int = 0

@minValue(1)
param maximumInstances int = 40

@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@allowed(['new', 'existing'])
param clusterMode string = 'new'

@description('Leave the cluster that an earlier deployment made as it is. A stopped one refuses every change.')
param keepCluster bool = false

@description('Empty: aks-<suffix>, for a new cluster only.')
param clusterName string = ''

@description('Only for an existing cluster: the subnet of its nodes, with a Microsoft.Storage service endpoint.')
param nodesSubnetId string = ''

@description('Namespace of the searches; the command line uses default.')
param namespace string = 'default'

@description('Empty: the default version of the region.')
param kubernetesVersion string = ''

param systemNodeSize string = 'Standard_D4s_v5'

@minValue(1)
param systemNodeCount int = 1

param blastNodeSize string = 'Standard_E16s_v5'

@minValue(1)
param blastNodeCount int = 1

@allowed(['Managed', 'Ephemeral'])
param blastDiskType string = 'Managed'

@minValue(64)
param blastDiskGB int = 512

@description('Registry in the same resource group that the nodes pull from. Empty: images by their public names.')
param registryName string = ''

@description('Make the registry.')
param createRegistry bool = false

@description('A /22 at least, apart from what is to be connected with it.')
param addressPrefix string = '10.64.0.0/16'

@allowed(['Allow', 'Deny'])
@description('Deny: only the subnets and the allowed addresses reach the data.')
param dataFirewall string = 'Deny'

@description('Addresses that people work at, with commas between: a.b.c.d or a.b.c.d/n.')
param allowedAddresses string = ''

@description('Storage and secrets are reached by private endpoints.')
param privateNetworking bool = false

@minValue(30)
param logRetentionDays int = 30

@description('Where alerts are mailed to. Empty: they are shown in the Portal only.')
param alertEmail string = ''

var groupName = empty(resourceGroupName) ? 'rg-${environmentName}' : resourceGroupName
var suffix = uniqueString(subscription().id, groupName, environmentName)
var tags = { 'azd-env-name': environmentName }
var isNew = clusterMode == 'new'
var cluster = empty(clusterName) ? 'aks-${suffix}' : clusterName
var usesRegistry = createRegistry || !empty(registryName)
var registry = usesRegistry ? (empty(registryName) ? 'acr${suffix}' : registryName) : ''
var signInTenant = empty(authTenantId) ? tenant().tenantId : authTenantId
var addresses = empty(allowedAddresses) ? [] : split(replace(allowedAddresses, ' ', ''), ',')
// One hub per app and environment: two that shared one would take each other's work.
var taskHub = 'elb${suffix}'
// Nodes of another network do not see the private names: their subnet is let in as before.
var dataPublicAccess = !(privateNetworking && isNew)
var usesScheduler = durableBackend == 'DurableTaskScheduler'

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = if (isNew) {
  name: groupName
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  scope: resourceGroup(groupName)
  params: {
    name: 'id-elb-${suffix}'
    location: location
    tags: tags
  }
  dependsOn: [group]
}

module monitoring 'modules/monitoring.bicep' = {
  scope: resourceGroup(groupName)
  params: {
    workspaceName: 'log-${suffix}'
    insightsName: 'appi-${suffix}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    retentionDays: logRetentionDays
  }
}

module alerts 'modules/alerts.bicep' = {
  scope: resourceGroup(groupName)
  params: {
    location: location
    tags: tags
    prefix: environmentName
    workspaceId: monitoring.outputs.workspaceId
    alertEmail: alertEmail
  }
}

module workbook 'modules/workbook.bicep' = {
  scope: resourceGroup(groupName)
  params: {
    location: location
    tags: tags
    displayName: 'ElasticBLAST: ${environmentName}'
    workspaceId: monitoring.outputs.workspaceId
  }
}

module network 'modules/network.bicep' = {
  scope: resourceGroup(groupName)
  params: {
    name: 'vnet-${suffix}'
    location: location
    tags: tags
    addressPrefix: addressPrefix
  }
  dependsOn: [group]
}

module hostStorage 'modules/storage-host.bicep' = {
  scope: resourceGroup(groupName)
  params: {
    name: 'sthost${suffix}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    publicAccess: !privateNetworking
  }
}

module dataStorage 'modules/storage-data.bicep' = {
  scope: resourceGroup(groupName)
  params: {
    name: 'stdata${suffix}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    subnetIds: concat(
      [network.outputs.appSubnetId],
      isNew ? [network.outputs.nodesSubnetId] : empty(nodesSubnetId) ? [] : [nodesSubnetId]
    )
    addresses: addresses
    defaultAction: dataFirewall
    publicAccess: dataPublicAccess
  }
}

module vault 'modules/vault.bicep' = {
  scope: resourceGroup(groupName)
  params: {
    name: 'kv-${suffix}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    publicAccess: !privateNetworking
    callbackSecret: callbackSecret
    webhookSecret: webhookSecret
  }
}

module privateAccess 'modules/private.bicep' = if (privateNetworking) {
  scope: resourceGroup(groupName)
  params: {
    location: location
    tags: tags
    networkId: network.outputs.id
    subnetId: network.outputs.endpointsSubnetId
    endpoints: [
      { name: 'pe-host-blob-${suffix}', targetId: hostStorage.outputs.id, groupId: 'blob' }
      { name: 'pe-host-queue-${suffix}', targetId: hostStorage.outputs.id, groupId: 'queue' }
      { name: 'pe-host-table-${suffix}', targetId: hostStorage.outputs.id, groupId: 'table' }
      { name: 'pe-data-blob-${suffix}', targetId: dataStorage.outputs.id, groupId: 'blob' }
      { name: 'pe-data-table-${suffix}', targetId: dataStorage.outputs.id, groupId: 'table' }
      { name: 'pe-vault-${suffix}', targetId: vault.outputs.id, groupId: 'vault' }
    ]
  }
}

module newRegistry 'modules/registry.bicep' = if (createRegistry) {
  scope: resourceGroup(groupName)
  params: {
    name: registry
    location: location
    tags: tags
  }
  dependsOn: [group]
}

module newCluster 'modules/cluster.bicep' = if (isNew && !keepCluster) {
  scope: resourceGroup(groupName)
  params: {
    name: cluster
    location: location
    tags: tags
    networkName: network.outputs.name
    nodesSubnetName: 'nodes'
    kubernetesVersion: kubernetesVersion
    systemNodeSize: systemNodeSize
    systemNodeCount: systemNodeCount
    blastNodeSize: blastNodeSize
    blastNodeCount: blastNodeCount
    blastDiskType: blastDiskType
    blastDiskGB: blastDiskGB
  }
}

module clusterAccess 'modules/cluster-access.bicep' = {
  scope: resourceGroup(groupName)
  params: {
    clusterName: cluster
    namespace: namespace
    principalId: identity.outputs.principalId
  }
  dependsOn: [newCluster]
}

module dataAccess 'modules/data-access.bicep' = {
  scope: resourceGroup(groupName)
  params: {
    accountName: dataStorage.outputs.name
    nodesPrincipalId: clusterAccess.outputs.nodesPrincipalId
    appPrincipalId: identity.outputs.principalId
  }
}

module registryAccess 'modules/registry-access.bicep' = if (usesRegistry) {
  scope: resourceGroup(groupName)
  params: {
    registryName: registry
    nodesPrincipalId: clusterAccess.outputs.nodesPrincipalId
    appPrincipalId: identity.outputs.principalId
    assignPull: isNew
  }
  dependsOn: [newRegistry]
}

module scheduler 'modules/scheduler.bicep' = if (usesScheduler) {
  scope: resourceGroup(groupName)
  params: {
    name: 'dts-${suffix}'
    location: location
    tags: tags
    taskHub: taskHub
    principalId: identity.outputs.principalId
    clientId: identity.outputs.clientId
  }
}

module app 'modules/app.bicep' = {
  scope: resourceGroup(groupName)
  params: {
    name: 'func-elb-${suffix}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    subnetId: network.outputs.appSubnetId
    hostAccountName: hostStorage.outputs.name
    packageUrl: hostStorage.outputs.packageUrl
    insightsConnection: monitoring.outputs.insightsConnection
    durableSettings: usesScheduler
      ? {
          AzureFunctionsJobHost__extensions__durableTask__storageProvider__type: 'azureManaged'
          AzureFunctionsJobHost__extensions__durableTask__storageProvider__connectionStringName: 'DURABLE_TASK_SCHEDULER_CONNECTION_STRING'
          DURABLE_TASK_SCHEDULER_CONNECTION_STRING: scheduler!.outputs.connection
        }
      : {}
    taskHub: taskHub
    callbackReference: vault.outputs.callbackReference
    webhookReference: vault.outputs.webhookReference
    dataAccountName: dataStorage.outputs.name
    defaultCluster: '${subscription().subscriptionId}/${groupName}/${cluster}'
    namespace: namespace
    registryName: registry
    authMode: authMode
    authTenantId: signInTenant
    authClientId: authClientId
    // The platform learns from host.json alone where orchestrations wait, and there it is the host account: with the
    // scheduler nothing would start an instance for them.
    alwaysReadyDurable: usesScheduler ? max(1, alwaysReadyDurable) : alwaysReadyDurable
    maximumInstances: maximumInstances
    instanceMemoryMB: instanceMemoryMB
  }
  dependsOn: [privateAccess]
}

output AZURE_RESOURCE_GROUP string = groupName
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_FUNCTION_APP_NAME string = app.outputs.name
output ELB_APP_URL string = app.outputs.url
output ELB_APP_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output ELB_APPLICATION_INSIGHTS_ID string = monitoring.outputs.insightsId
output ELB_LOG_WORKSPACE_ID string = monitoring.outputs.workspaceId
output ELB_WORKBOOK_ID string = workbook.outputs.workbookId
output ELB_DATA_STORAGE_ACCOUNT string = dataStorage.outputs.name
output ELB_CLUSTER string = cluster
output ELB_IMAGE_REGISTRY string = registry
