// Counts the event ids on standard input, each exactly once: HOST PORT COUNTER.
import java.util.List;
import java.util.Scanner;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.commands.ProtocolCommand;
import redis.clients.jedis.exceptions.JedisConnectionException;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.util.SafeEncoder;

public class Count {
    static final ProtocolCommand ADD = () -> SafeEncoder.encode("QUIPU.ADD");
    static Jedis client;

    static List<?> addOnce(String host, int port, String counter, String token) throws Exception {
        for (int attempt = 0; attempt < 100; attempt++) {
            try {
                if (client == null) client = new Jedis(host, port, 10_000);
                return (List<?>) client.sendCommand(ADD, counter, "1", "TOKEN", token);
            } catch (JedisConnectionException lost) {
                client = null; // counted or not: the same token settles it
            } catch (JedisDataException refused) {
                if (!refused.getMessage().matches("(UNKNOWN|BUSY).*")) throw refused;
            }
            Thread.sleep(Math.min(20L << Math.min(attempt, 6), 1000));
        }
        throw new IllegalStateException("no answer for " + token);
    }

    public static void main(String[] args) throws Exception {
        int events = 0, repeats = 0;
        for (Scanner lines = new Scanner(System.in); lines.hasNextLine(); events++) {
            List<?> answer = addOnce(args[0], Integer.parseInt(args[1]), args[2], lines.nextLine());
            if (SafeEncoder.encode((byte[]) answer.get(3)).equals("token")) repeats++;
        }
        System.out.println(events + " events, " + repeats + " of them answered again");
    }
}
