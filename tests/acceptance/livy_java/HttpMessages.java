package org.apache.livy.client.common;

import java.util.List;
import java.util.Map;

/**
 * The session record of livy-client-http with all 23 members that a session has had since Livy 0.8. The newest client
 * on Maven Central knows 9 of them and refuses the others. Of this file only SessionInfo goes before the client's jar.
 */
public class HttpMessages {

  public interface ClientMessage {}

  public static class SessionInfo implements ClientMessage {
    public int id;
    public String name;
    public String appId;
    public String owner;
    public String proxyUser;
    public String state;
    public String kind;
    public Map<String, String> appInfo;
    public List<String> log;
    public String ttl;
    public String idleTimeout;
    public String driverMemory;
    public int driverCores;
    public String executorMemory;
    public int executorCores;
    public Map<String, String> conf;
    public List<String> archives;
    public List<String> files;
    public int heartbeatTimeoutInSecond;
    public List<String> jars;
    public int numExecutors;
    public List<String> pyFiles;
    public String queue;
  }
}
